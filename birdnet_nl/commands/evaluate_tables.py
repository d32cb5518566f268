"""What `birdnet-nl evaluate` says on the screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape

from birdnet_nl.data.training_rules import FEW_TEST_RECORDINGS
from birdnet_nl.evaluation.report import result_table
from birdnet_nl.runs.evaluation_description import knows_what_it_judged
from birdnet_nl.util.console import display_path, info, screen

MAX_LISTED = 5


def print_left_out(report: Mapping[str, Any]) -> None:
    left_out = report["left_out"]
    if left_out["known"]:
        names = [f"{escape(Path(path).name)} ({escape(why)})" for path, why in left_out["known"].items()]
        info(
            f"[yellow]{len(names)} recordings left out, trained on or validated with: "
            f"{', '.join(names[:MAX_LISTED])}{', …' if len(names) > MAX_LISTED else ''}[/]"
        )
    for name, count in left_out["types"].items():
        info(f"[yellow]{count} {name} left out: the network tells {', '.join(report['types'])} apart[/]")
    if left_out["unclear"]:
        texts = sorted(left_out["unclear"].items(), key=lambda entry: -entry[1])
        named = "; ".join(f"“{escape(text)}” {count}" for text, count in texts[:MAX_LISTED])
        info(f"[dim]{sum(left_out['unclear'].values())} recordings not plainly of one type left out: {named}[/]")
    if left_out["files"]:
        info(f"[yellow]{len(left_out['files'])} files left out:[/]")
        for path, reason in left_out["files"].items():
            info(f"[yellow]  {escape(Path(path).name)}: {escape(reason)}[/]")


def print_evaluation(report: Mapping[str, Any], folder: Path) -> None:
    """The table of a run, with a third column for recordists that the network had not met."""
    mark = "  [bold black on yellow] SYNTHETIC [/]" if report["synthetic"] else ""
    screen.print(
        f"[bold]{escape(report['species']['dutch'])}[/], trainer={report['parameter_set']}, seed {report['seed']}, "
        f"on {display_path(Path(report['evaluated']['data']))} ({describe_species(report)}){mark}",
        soft_wrap=True,
    )
    results, new = dict(report["results"]), report["new_recordists"]
    if "recording" in new:
        results["recording by a new recordist"] = new["recording"]
    screen.print(result_table({**report, "results": results}))
    for line in describe_evaluation(report):
        screen.print(line, soft_wrap=True)
    screen.print(f"[bold]{display_path(folder)}[/]", soft_wrap=True)


def describe_species(report: Mapping[str, Any]) -> str:
    counts = sorted(report["evaluated"]["species"].items(), key=lambda entry: -entry[1])
    named = ", ".join(f"{slug} {count}" for slug, count in counts[:MAX_LISTED])
    return named if len(counts) <= MAX_LISTED else f"{len(counts)} species: {named}, …"


def describe_evaluation(report: Mapping[str, Any]) -> list[str]:
    """The lines below the table, the gravest first."""
    known, types = report["evaluated"]["known"], report["types"]
    scores = report["results"]["recording"]
    lines = []
    if knows_what_it_judged(report):
        lines.append(
            f"[bold red]TRAINED ON THESE: {known['recordings']} of the {scores['count']} recordings were trained on or "
            "validated with; far too good[/]"
        )
    if "absent" in known:
        lines.append(f"[bold red]{escape(known['absent'])}[/]")
    else:
        nameless = f", {known['by_unknown_recordists']} by nobody named" if known["by_unknown_recordists"] else ""
        met = f"recordist met in training or validation: {known['by_known_recordists']} of {scores['count']}{nameless}"
        why = report["new_recordists"].get("absent")
        lines.append(f"{met}; no figures without them: {why}" if why and known["by_known_recordists"] else met)
    majority = report["controls"]["majority"]
    if "absent" not in majority:
        lines.append(f"without listening: always {majority['type']} {majority['balanced_accuracy']:.0%}")
    lines.append(
        f"chance is {1 / len(types):.0%}; \\[95 % intervals] over recordists; {report['seconds']['total']:.0f} s in all"
    )
    lines += [describe_calibration(report["calibration"], report["decision"]), describe_decision(report["decision"])]
    few = ", ".join(
        f"{name} {scores['counts'][name]}" for name in types if scores["counts"][name] < FEW_TEST_RECORDINGS
    )
    if few:
        lines.append(f"[yellow]Few recordings ({few}): read this as a first impression.[/]")
    return lines


def describe_calibration(calibration: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    return (
        f"nothing fitted anew: the checkpoint's temperature {calibration['temperature']:.2f} and pooling "
        f"{decision['pooling']}; ECE {calibration['before']['ece']:.2f} → {calibration['after']['ece']:.2f} "
        f"(perfect probabilities would show {calibration['ece_by_chance']:.2f})"
    )


def describe_decision(decision: Mapping[str, Any]) -> str:
    if decision["threshold"] is None:
        return "onzeker: all; the checkpoint has no threshold"
    right = "" if decision["accuracy_answered"] is None else f", {decision['accuracy_answered']:.0%} of the rest right"
    share = 1 - decision["answered"]
    return f"onzeker (below {decision['threshold']:.2f}, the checkpoint's threshold): {share:.0%}{right}"
