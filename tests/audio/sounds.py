"""Bytes of sound files in many formats, made in memory, and ways to damage them."""

import io
import struct

import numpy as np
import soundfile

RATE_HZ = 16000


def tone(duration_s: float = 2.0, rate_hz: int = RATE_HZ, peak: float = 0.5, channels: int = 1) -> np.ndarray:
    """A tone with a little noise, float32 [samples, channels]; channels differ by their level."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).normal(0, 0.01, len(time_s))
    mono = peak * np.sin(2 * np.pi * 1000 * time_s) + noise
    return (mono[:, None] / (1 + np.arange(channels))).astype(np.float32)


def soundfile_bytes(format: str, subtype: str | None = None, samples: np.ndarray | None = None, **options) -> bytes:
    file = io.BytesIO()
    rate_hz = options.pop("rate_hz", 48000 if subtype == "OPUS" else RATE_HZ)
    samples = tone(rate_hz=rate_hz) if samples is None else samples
    soundfile.write(file, samples, rate_hz, format=format, subtype=subtype, **options)
    return file.getvalue()


def av_bytes(container: str, codec: str, rate_hz: int = 16000, format: str = "fltp", **options) -> bytes:
    """Two seconds encoded with PyAV."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(tone(rate_hz=rate_hz).T.copy(), format="fltp", layout="mono")
        frame.rate = rate_hz
        resampler = av.AudioResampler(
            format=format, layout="mono", rate=rate_hz, frame_size=stream.codec_context.frame_size
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def vbr_mp3(duration_s: float = 6.0) -> bytes:
    """An mp3 of variable bit rate, loud noise first, whose Xing header is removed."""
    samples = tone(duration_s, 32000, 0.02)
    samples[: round(32000 * duration_s / 4)] += np.random.default_rng(1).normal(0, 0.3, (round(8000 * duration_s), 1))
    data = soundfile_bytes("MP3", samples=samples, rate_hz=32000, bitrate_mode="VARIABLE", compression_level=0.1)
    return data[data.index(b"\xff\xfb", 10) :]


def with_data_size(wav: bytes, size: int) -> bytes:
    place = wav.index(b"data") + 4
    return wav[:place] + struct.pack("<I", size) + wav[place + 4 :]


def with_flac_length(flac: bytes, samples: int) -> bytes:
    return flac[:21] + bytes([flac[21] & 0xF0 | samples >> 32]) + struct.pack(">I", samples & 0xFFFFFFFF) + flac[26:]


def wav_header(rate_hz: int, channels: int, data: bytes = bytes(400)) -> bytes:
    form = struct.pack(
        "<HHIIHH", 1, channels, rate_hz, min(2 * rate_hz * channels, 0xFFFFFFFF), 2 * channels % 65536, 16
    )
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


FORMATS = {
    "wav 8 bit": lambda: soundfile_bytes("WAV", "PCM_U8"),
    "wav 16 bit": lambda: soundfile_bytes("WAV", "PCM_16"),
    "wav 24 bit": lambda: soundfile_bytes("WAV", "PCM_24"),
    "wav 32 bit": lambda: soundfile_bytes("WAV", "PCM_32"),
    "wav float": lambda: soundfile_bytes("WAV", "FLOAT"),
    "wav double": lambda: soundfile_bytes("WAV", "DOUBLE"),
    "wav extensible": lambda: soundfile_bytes("WAVEX", "PCM_24"),
    "wav mu-law": lambda: soundfile_bytes("WAV", "ULAW"),
    "wav a-law": lambda: soundfile_bytes("WAV", "ALAW"),
    "wav IMA ADPCM": lambda: soundfile_bytes("WAV", "IMA_ADPCM"),
    "wav MS ADPCM": lambda: soundfile_bytes("WAV", "MS_ADPCM"),
    "wav 8 channels": lambda: soundfile_bytes("WAV", "PCM_16", tone(channels=8)),
    "wav stereo": lambda: soundfile_bytes("WAV", "PCM_16", tone(channels=2)),
    "rf64": lambda: soundfile_bytes("RF64", "PCM_16"),
    "w64": lambda: soundfile_bytes("W64", "PCM_16"),
    "aiff": lambda: soundfile_bytes("AIFF", "PCM_16"),
    "caf": lambda: soundfile_bytes("CAF", "PCM_16"),
    "au": lambda: soundfile_bytes("AU", "PCM_16"),
    "flac": lambda: soundfile_bytes("FLAC"),
    "flac 24 bit": lambda: soundfile_bytes("FLAC", "PCM_24"),
    "vorbis": lambda: soundfile_bytes("OGG", "VORBIS"),
    "opus": lambda: soundfile_bytes("OGG", "OPUS"),
    "mp3": lambda: soundfile_bytes("MP3"),
    "layer 2": lambda: av_bytes("mp2", "mp2", 48000, "s16"),
    "mp3 stereo": lambda: soundfile_bytes("MP3", samples=tone(rate_hz=44100, channels=2), rate_hz=44100),
}
AV_FORMATS = {
    "m4a": lambda: av_bytes("mp4", "aac"),
    "aac": lambda: av_bytes("adts", "aac"),
    "wma": lambda: av_bytes("asf", "wmav2", 44100),
    "mka": lambda: av_bytes("matroska", "aac"),
    "webm": lambda: av_bytes("webm", "libopus", 48000, "s16"),
    "wavpack": lambda: av_bytes("wv", "wavpack"),
}
