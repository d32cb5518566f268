"""Terminal output of `birdnet-nl evaluate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape

from birdnet_nl.evaluation.report import describe_sources, list_few, result_table
from birdnet_nl.runs.evaluation_report import includes_training_recordings
from birdnet_nl.util.console import display_path, info, screen
from birdnet_nl.util.words import counted

MAX_LISTED = 5


def print_left_out(report: Mapping[str, Any]) -> None:
    left_out = report["left_out"]
    if left_out["seen"]:
        names = [f"{escape(Path(path).name)} ({escape(reason)})" for path, reason in left_out["seen"].items()]
        info(
            f"[yellow]{counted(len(names), 'recording')} left out, trained or validated on: "
            f"{', '.join(names[:MAX_LISTED])}{', …' if len(names) > MAX_LISTED else ''}[/]"
        )
    for name, count in left_out["types"].items():
        info(f"[yellow]{count} {name} left out: the network predicts {', '.join(report['types'])} only[/]")
    if left_out["unclear"]:
        texts = sorted(left_out["unclear"].items(), key=lambda item: -item[1])
        examples = "; ".join(f"“{escape(text)}” {count}" for text, count in texts[:MAX_LISTED])
        unclear = counted(sum(left_out["unclear"].values()), "recording")
        info(f"[dim]{unclear} not plainly of one type left out: {examples}[/]")
    if left_out["files"]:
        info(f"[yellow]{counted(len(left_out['files']), 'file')} left out:[/]")
        for path, reason in left_out["files"].items():
            info(f"[yellow]  {escape(Path(path).name)}: {escape(reason)}[/]")


def print_evaluation(report: Mapping[str, Any], folder: Path) -> None:
    """Print the table of a run, with a third column for recordists that were not seen in training."""
    mark = "  [bold black on yellow] SYNTHETIC [/]" if report["synthetic"] else ""
    screen.print(
        f"[bold]{escape(report['species']['dutch'])}[/], trainer={report['parameter_set']}, seed {report['seed']}, "
        f"on {display_path(Path(report['evaluated']['data']))} ({describe_species(report)}){mark}",
        soft_wrap=True,
    )
    results, new = dict(report["results"]), report["new_recordists"]
    if "recording" in new:
        results["recording by a new recordist"] = new["recording"]
    for clip in report.get("clips", ()):
        results[f"clip of {clip['clip_s']:g} s"] = clip["results"]["recording"]
    screen.print(result_table({**report, "results": results}))
    for line in describe_evaluation(report):
        screen.print(line, soft_wrap=True)
    screen.print(f"[bold]{display_path(folder)}[/]", soft_wrap=True)


def describe_species(report: Mapping[str, Any]) -> str:
    counts = sorted(report["evaluated"]["species"].items(), key=lambda item: -item[1])
    names = ", ".join(f"{slug} {count}" for slug, count in counts[:MAX_LISTED])
    return names if len(counts) <= MAX_LISTED else f"{len(counts)} species: {names}, …"


def describe_evaluation(report: Mapping[str, Any]) -> list[str]:
    """Return the lines below the table, the most serious first."""
    seen, types = report["evaluated"]["seen"], report["types"]
    scores, decision = report["results"]["recording"], report["decision"]
    lines = []
    if includes_training_recordings(report):
        lines.append(
            f"[bold red]TRAINED ON THESE: {seen['recordings']} of the {scores['count']} recordings were trained or "
            "validated on; the metrics are far too good[/]"
        )
    if "absent" in seen:
        lines.append(f"[bold red]{escape(seen['absent'])}[/]")
    else:
        unknown = f", {seen['by_unknown_recordists']} by unknown recordists" if seen["by_unknown_recordists"] else ""
        line = f"recordist seen in training or validation: {seen['by_seen_recordists']} of {scores['count']}{unknown}"
        reason = report["new_recordists"].get("absent")
        lines.append(f"{line}; no metrics without them: {reason}" if reason and seen["by_seen_recordists"] else line)
    majority = report["controls"]["majority"]
    if "absent" not in majority:
        lines.append(f"baseline without audio: always {majority['type']} {majority['balanced_accuracy']:.0%}")
    seconds = report["seconds"]["total"]
    lines.append(f"chance is {1 / len(types):.0%}; \\[95 % intervals] over recordists; {seconds:.0f} s in total")
    lines += [_describe_calibration(report["calibration"], decision), _describe_decision(decision)]
    lines += describe_sources(report)
    for clip in report.get("clips", ()):
        pair = clip["song_against_call"] if len(types) > 2 else None
        song = f", song against call {pair['balanced_accuracy']:.0%}, AUROC {pair['auroc']:.2f}" if pair else ""
        whole = f"; not longer than that: {clip['shorter']}" if clip["shorter"] else ""
        lines.append(
            f"clips of {clip['clip_s']:g} s, the most active stretch: ECE {clip['calibration']['after']['ece']:.2f}, "
            f"uncertain {1 - clip['decision']['certain_share']:.0%}{song}{whole}"
        )
    if few := list_few(scores):
        lines.append(f"[yellow]Few recordings ({few}): the metrics are a first impression.[/]")
    return lines


def _describe_calibration(calibration: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    return (
        f"nothing fitted again: temperature {calibration['temperature']:.2f} and pooling {decision['pooling']} of the "
        f"checkpoint; ECE {calibration['before']['ece']:.2f} → {calibration['after']['ece']:.2f} "
        f"(perfect probabilities would give {calibration['ece_by_chance']:.2f})"
    )


def _describe_decision(decision: Mapping[str, Any]) -> str:
    if decision["threshold"] is None:
        return "uncertain: all; the checkpoint has no threshold"
    rest = "" if decision["accuracy_certain"] is None else f", {decision['accuracy_certain']:.0%} of the rest correct"
    share = 1 - decision["certain_share"]
    return f"uncertain (below {decision['threshold']:.2f}, the threshold of the checkpoint): {share:.0%}{rest}"
