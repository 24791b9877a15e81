"""The course's part of the command line: pyproject.toml hangs these commands below ``colorkit``.

Each command imports what takes seconds when it runs, and after it has found its checkout.
"""

import os
import subprocess
import sys
from pathlib import Path

import click

from colorcourse.checkout import OWN, find_root, student_folders
from colorcourse.copies import copy_lessons, write_beside

PROFILE = click.option(
    "--profile",
    type=click.Choice(["ci", "laptop", "gpu"]),
    default="laptop",
    show_default=True,
    help="How large: seconds, minutes or full size.",
)


@click.group()
def notebooks() -> None:
    """Build the notebooks from their sources, check and execute them."""


@notebooks.command()
@click.argument("names", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a notebook differs.")
def build(names: tuple[str, ...], check: bool) -> None:
    """Build lessons/*.ipynb and solutions/*.ipynb.

    NAMES choose lessons by number or name (default: all).
    """
    root = find_root()
    from colorcourse.build import build_all, check_all

    if check:
        problems = check_all(root, ",".join(names))
        for problem in problems:
            click.echo(problem, err=True)
        raise SystemExit(1 if problems else 0)
    for lesson in build_all(root, ",".join(names)):
        parts, cells = {"markdown": "", "code": ""}, lesson.solution.cells
        for cell in cells:
            parts[cell.cell_type] += f"{cell.source}\n"
        words, lines = len(parts["markdown"].split()), parts["code"].count("\n")
        click.echo(f"{lesson.name}: {len(cells)} cells, {words} words, {lines} lines of code")


@notebooks.command()
@click.argument("names", nargs=-1)
@PROFILE
@click.option("--force", is_flag=True, help="Execute also what did not change.")
def execute(names: tuple[str, ...], profile: str, force: bool) -> None:
    """Execute the solutions whose code changed, and store them with their outputs.

    NAMES choose lessons by number or name (default: all).
    """
    root, failed = find_root(), False
    from colorcourse.build import build_all
    from colorcourse.execute import execute_solutions

    lessons = build_all(root, ",".join(names))
    for name, run in execute_solutions(root, lessons, profile, force):
        if run is None:
            click.echo(f"{name}: unchanged")
        elif run.failure is None:
            click.echo(f"{name}: executed in {run.seconds:.1f} s, peak {run.peak_mb or 0:.0f} MB")
        else:
            failed = True
            cell = "" if run.failure.cell is None else f", cell {run.failure.cell}"
            click.echo(f"{name}{cell}: {run.failure.message}", err=True)
    raise SystemExit(1 if failed else 0)


@click.group()
def course() -> None:
    """Run the whole course."""


@course.command()
@PROFILE
@click.option("--lessons", help="Numbers or names, with commas between (default: all).")
@click.option("--solutions/--students", default=True, help="With answers (strict), or undone.")
@click.option("--out", default="build/course", show_default=True, help="Folder in the checkout.")
def run(profile: str, lessons: str | None, solutions: bool, out: str) -> None:
    """Run the lessons; leave notebooks, results.json and index.html in build/course/PROFILE.

    In CI (the variable CI is set) a recorded number without bounds fails.
    """
    root = find_root()
    from colorcourse.report import summary
    from colorcourse.run import Plan, run_course

    strict = os.environ.get("CI", "").lower() not in ("", "0", "false")
    folder = root / out / (profile if solutions else f"{profile}-students")
    plan = Plan(root, profile, folder, students=not solutions, strict=strict)
    results = run_course(plan, lessons, say=click.echo)
    click.echo(f"\n{summary(results)}\n\n{folder / 'index.html'}")
    raise SystemExit(0 if all(entry["ok"] for entry in results["lessons"].values()) else 1)


def bring_lessons(new: bool = False) -> Path:
    """Copy new lessons, say what became of each, and give the folder of the student's copies."""
    source, own = student_folders()
    for name, changes in copy_lessons(source, own).items():
        if changes is None:
            click.echo(f"copied {OWN}/{name}")
            continue
        click.echo(f"kept   {OWN}/{name} (yours{changes and f'; {changes}'})")
        beside = own / f"{Path(name).stem}-new.ipynb"
        if changes and new:
            click.echo(write_beside(source / name, own / name, beside))
        elif changes and beside.exists():
            click.echo(f"       see {OWN}/{beside.name}")
        elif changes:
            click.echo("       `colorkit lessons --new` puts the current lesson beside it")
    return own


@click.command()
@click.option("--new", is_flag=True, help="Write NAME-new.ipynb beside each that has changed.")
def lessons(new: bool) -> None:
    """Copy new lessons to my-lessons/, and say which of yours have changed since.

    --new puts the current lesson beside yours, with your answers in it. Where an exercise has
    changed, the answer that you gave stands before it. Nothing is overwritten.
    """
    bring_lessons(new)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options: tuple[str, ...]) -> None:
    """Copy new lessons to my-lessons/, never overwriting, and open JupyterLab there.

    Outside a checkout, my-lessons/ is made in the folder where you are. Further OPTIONS are
    JupyterLab's own: --port 9000, --no-browser, --allow-root in a container.
    """
    own = bring_lessons()
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={own}"]
    try:
        raise SystemExit(subprocess.call([*command, *options], cwd=own))
    except KeyboardInterrupt:  # Ctrl-C is how one leaves
        raise SystemExit(0) from None
