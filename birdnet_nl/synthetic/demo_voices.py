"""The voices of all species: in the demo 14 from a table and the others from their name, in practice all described.

The table holds working values; what is from the literature is marked. `voices.txt` beside this file has the other
species. The demo does without it, so that its recordings, and the figures on them, stay what they were. The notation is
explained in `demo_voice.py`.
"""

from functools import cache
from pathlib import Path

from birdnet_nl.synthetic.derived import derive_voices
from birdnet_nl.synthetic.voices import Voice, parse_voices


@cache
def species_voices(slug: str) -> dict[str, Voice]:
    """The voice of each vocalization type: the table's, or for a species that it lacks one derived from the slug."""
    return known_voices().get(slug) or derive_voices(slug)


@cache
def known_voices() -> dict[str, dict[str, Voice]]:
    return parse_voices(TABLE)


@cache
def described_voices() -> dict[str, dict[str, Voice]]:
    """The table's and those of `voices.txt`."""
    return known_voices() | parse_voices(Path(__file__).with_name("voices.txt").read_text(encoding="utf-8"))


TABLE = """
roodborst song: pause 2-5, fresh
  8-24 at 4-11, mixed: whistle 2-8.5 40-250; whistle 3-9.8 40-120  # phrase length, no repeats: literature
roodborst call: pause 1-3.5
  2-7 at 2-5: click 4-8 8-20
  1-2 at 1.5-3: whistle 5.2-9.4 67-117 down  # literature
roodborst alarm: pause 1-2.5
  1-2 at 0.5-0.9: whistle 7-8.5 300-600 flat
  6-22 at 6-10: click 4-8 8-20

merel song: pause 2.5-5
  6-11 at 3-6, mixed: whistle 1.5-3.2 80-350  # band, nine strophes a minute: literature
  then 4-9 at 9-14, mixed, -8 dB: whistle 4-8 25-80 fm 60-120 depth 0.08
merel call: pause 1.5-4.5
  1-2 at 1-2: whistle 5.1-9.9 102-359 down fm 60-120 depth 0.05  # literature
  2-8 at 1.5-3: stack 1-2 40-80 arch
merel alarm: pause 1-3
  6-26 at 4-6, glide 1.1, accelerate 1.6: stack 1.2-1.7 30-60 arch peak 3-5.5 noise 0.4
  1-2 at 0.6-1: whistle 7-9 400-800 down  # literature

koolmees song: pause 1.5-4
  8-20 at 4-7, cycle: whistle 4.5-5.5 80-160 down; whistle 3-4.3 80-160  # literature
  9-21 at 5-7.5, cycle: whistle 4.5-5.5 60-110; whistle 4.5-5.5 60-110; whistle 3-4.3 80-160
koolmees call: pause 0.8-3.5
  1-3 at 4-7: whistle 4-6.5 30-60 down
  1-3 at 2-4: whistle 6-8 80-130 down
  1-2 at 5-7: whistle 4-6.5 30-60 down
  then 1-3 at 5-8: stack 1.8-2.6 60-110 peak 3-4.5 noise 0.2
koolmees alarm: pause 0.8-2.5
  4-14 at 5-9: rattle 2.2-6.5 95-130 pulse 210-240  # literature
  1-2 at 6-8: whistle 4-6.5 30-60 down
  then 3-8 at 7-9: rattle 2.5-6 60-110 pulse 210-240
  1-2 at 0.8-1.4: whistle 7.2-8.8 250-500 down

pimpelmees song: pause 1.5-4
  2-3 at 6-8: whistle 6.5-8.5 60-120
  then 9-20 at 12-18: whistle 4-6 30-55 down  # literature
pimpelmees call: pause 0.8-3.5
  2-5 at 4-8, mixed: whistle 5-8 40-90 down
pimpelmees alarm: pause 0.8-2.5
  10-26 at 14-22: rattle 3.5-7.5 25-45 pulse 200-300
  1-3 at 6-8: whistle 5.5-8 40-80 down
  then 8-18 at 14-20: rattle 3.5-7.5 25-45 pulse 200-300
  1-2 at 0.8-1.4: whistle 7.2-8.8 250-500 down
  2-3 at 7-9: whistle 6.5-8.5 50-100
  then 8-16 at 14-20: whistle 4-6.5 25-45 down  # a song-like alarm: literature

vink song: pause 3-7
  5-9 at 9-14, glide 0.85: whistle 4-6.5 40-80 down  # phrases and flourish: literature
  then 4-7 at 7-10, glide 0.85: whistle 2.8-5 60-110 down
  then 2 at 7-10, mixed: whistle 2-6 90-170
vink call: pause 0.8-3
  1-3 at 2.5-5: stack 3-5 40-70 arch
  1-3 at 2-4: whistle 1.8-3 60-90 arch
vink alarm: pause 0.7-1.4
  1 at 1: whistle 2-4.5 120-250 fm 25-60 depth 0.1  # literature
  1 at 1: whistle 2.4-4.5 120-250 up
  1 at 1: whistle 7-8.5 300-600 flat

winterkoning song: pause 2-5
  14-30 at 8-16, mixed: whistle 3-9 20-60
  then 18-36 at 25-40: whistle 4-7 15-25 down  # one fast trill: literature
  then 5-14 at 8-16, mixed: whistle 3-8.5 25-70
winterkoning call: pause 0.8-2.5
  1-4 at 1.5-4: click 3-7.5 15-35
  1-3 at 2-5: rattle 3-7 15-30 pulse 150-250
winterkoning alarm: pause 0.6-2.5
  6-20 at 6-8: click 3-8 15-35
  10-40 at 26-34: rattle 3-8 14-22 pulse 150-250  # literature

houtduif song: pause 3-8  # verse of five notes: literature
  10-22 at 1.65-2, cycle: stack 0.42-0.48 250-400 flat; stack 0.46-0.58 500-700 arch
    ; stack 0.44-0.52 400-600 flat; stack 0.4-0.47 250-380 flat; stack 0.4-0.47 250-380 flat
houtduif call: pause 1.5-4
  1-3 at 0.6-1: stack 0.25-0.45 500-1200 arch pulse 20-35
  1-3 at 0.8-1.3: stack 0.3-0.5 350-700 arch noise 0.15
houtduif alarm: pause 1-3.5  # mostly wings; a vocal alarm is very rare
  5-16 at 6-10: click 0.5-6 15-40
  1-3 at 1-2: stack 0.35-0.5 200-350 up peak 0.6-1.2 noise 0.3

turkse_tortel song: pause 1.5-5  # verse of three notes: literature
  9-21 at 2-2.4, cycle: stack 0.45-0.55 220-280 flat; stack 0.52-0.65 520-660 arch; stack 0.45-0.55 180-250 flat
turkse_tortel call: pause 2-5
  1-2 at 0.7-1: stack 0.6-0.9 400-800 arch peak 1-3 noise 0.4
turkse_tortel alarm: pause 1-3
  1-4 at 2-3.5: stack 0.55-0.85 150-300 down peak 0.8-3.5 noise 0.5
  5-14 at 6-10: click 0.5-5 15-40

ekster song: pause 1-3, fresh, -8 dB  # soft babble: literature
  10-36 at 4-8, mixed: stack 0.8-2 40-200 peak 1.5-4; whistle 1.2-5 40-150
    ; stack 0.5-0.9 60-150 peak 1.5-4 noise 0.4
ekster call: pause 1-3.5
  1-4 at 1-3: stack 0.5-0.9 80-200 peak 1.5-5 noise 0.5
ekster alarm: pause 0.8-2.5
  6-26 at 8-12: rattle 1.5-4.8 35-60 pulse 120-220  # literature

roek song: pause 1-2.5, fresh, -7 dB
  12-40 at 2-4, mixed: stack 0.4-0.6 100-400 peak 1-2 noise 0.4; stack 0.6-1.2 100-250 peak 0.8-2.5
    ; rattle 0.6-4 100-300 pulse 30-70
roek call: pause 1.5-4
  2-5 at 1-2: stack 0.3-0.55 250-450 arch peak 1-1.8 noise 0.4
roek alarm: pause 0.8-2.5
  3-10 at 3-5: stack 0.4-0.7 120-220 down peak 1.2-2.2 noise 0.55

grauwe_gans song: pause 1-3  # cackle of triumph: geese have no true song
  12-34 at 5-8, mixed: stack 0.35-0.8 80-150 peak 0.9-2.5 noise 0.15
grauwe_gans call: pause 1-3.5
  1 at 2-3: stack 0.4-0.7 200-400 arch peak 1-3 noise 0.2
  then 1-4 at 2.5-4: stack 0.35-0.6 100-180 down peak 0.8-2.5 noise 0.2
grauwe_gans alarm: pause 1-3
  1-4 at 0.8-1.5: stack 0.5-0.9 150-300 arch peak 1-3 noise 0.25
  1-2 at 0.5-0.7: click 2-10 500-1500

kolgans song: pause 1-3  # laughing: geese have no true song
  14-34 at 7-10, mixed: stack 0.8-1.4 60-110 arch peak 1.2-3
kolgans call: pause 1-3.5
  2-4 at 3-6, mixed: stack 0.7-1.3 80-150 up peak 1.4-4
kolgans alarm: pause 0.8-2.5
  3-12 at 4-7: stack 1-1.6 60-120 arch peak 1.5-4 noise 0.25

koperwiek song: pause 2.5-5
  3-7 at 4-7, glide 0.65: whistle 2.8-4.5 90-180 down
  then 6-20 at 10-15, mixed, -8 dB: whistle 4-8 25-70
koperwiek call: pause 1.5-4.5
  1 at 1: whistle 5.5-8.5 250-450 down fm 100-200 depth 0.03
  1-3 at 2-4: stack 1.2-2 50-100 down peak 1.5-3.5
koperwiek alarm: pause 0.8-2.5
  5-18 at 10-16: rattle 2-5.5 20-40 pulse 150-250

boomkruiper song: pause 2.5-6
  4-6 at 5-6, mixed, glide 0.85: whistle 3.8-7.2 60-180  # literature
  then 1 at 5-6: whistle 5.2-7.5 70-150 up
boomkruiper call: pause 1-3.5
  1-4 at 2-4: whistle 3.8-5.5 60-120 down
  1-2 at 1-2: whistle 6-8 150-350 fm 30-50 depth 0.05
boomkruiper alarm: pause 0.8-2.5
  3-12 at 5-8, glide 1.1: whistle 4.2-6 60-110 down
  1-2 at 0.8-1.4: whistle 7.2-8.8 250-500 down
"""
