"""The course's part of the command line: pyproject.toml hangs these commands below ``colorkit``.

Each command imports what it needs when it runs.
"""

import click

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
    """Build lessons/*.ipynb and solutions/*.ipynb, and apply the lessons' rules.

    NAMES choose lessons by number or name (default: all).
    """
    from colorcourse.checkout import find_root, lesson_ids, select_lessons

    root = find_root()
    wanted = select_lessons(lesson_ids(root), list(names))
    from colorcourse.build import build_all, build_lesson, check_all, registered_exercises
    from colorcourse.lint import expected_of, lint_lessons

    exercises = registered_exercises()
    if check:
        problems = check_all(root, exercises, None if not names else wanted)
        lessons = [build_lesson(root, name, exercises) for name in wanted]
    else:
        problems, lessons = [], build_all(root, wanted, exercises)
    problems += lint_lessons(lessons, exercises, expected_of(root))
    for problem in problems:
        click.echo(str(problem), err=not problem.warning)
    click.echo(f"{len(lessons)} lesson(s) {'checked' if check else 'built'}")
    if any(not problem.warning for problem in problems):
        raise SystemExit(1)


@notebooks.command()
@click.argument("names", nargs=-1)
@PROFILE
@click.option("--force", is_flag=True, help="Execute also what did not change.")
def execute(names: tuple[str, ...], profile: str, force: bool) -> None:
    """Execute the solutions whose code changed, and store them with their outputs.

    NAMES choose lessons by number or name (default: all).
    """
    from colorcourse.checkout import find_root

    root, failed = find_root(), False
    from colorcourse.build import build_all
    from colorcourse.execute import execute_solutions

    lessons = build_all(root, list(names))
    for name, run in execute_solutions(root, lessons, profile, force):
        if run is None:
            click.echo(f"{name}: unchanged")
        elif run.failure is None:
            click.echo(f"{name}: executed in {run.seconds:.1f} s, peak {run.peak_mb:.0f} MB")
        else:
            failed = True
            cell = "" if run.failure.cell is None else f", cell {run.failure.cell}"
            click.echo(f"{name}{cell}: {run.failure.message}", err=True)
    if failed:
        raise SystemExit(1)


@click.group()
def course() -> None:
    """Run the whole course."""


@course.command()
@PROFILE
@click.option("--lessons", help="Numbers or names, with commas between (default: all).")
@click.option("--solutions/--students", default=True, help="With answers (strict), or undone.")
@click.option("--out", default="build/course", show_default=True, help="Folder in the checkout.")
@click.option("--strict", is_flag=True, help="Fail on a recorded number without bounds (as in CI).")
@click.option("--cell-seconds", type=click.FloatRange(min=1), help="Time limit of a cell.")
@click.option("--lesson-seconds", type=click.FloatRange(min=1), help="Time limit of a lesson.")
def run(
    profile: str,
    lessons: str | None,
    solutions: bool,
    out: str,
    strict: bool,
    cell_seconds: float | None,
    lesson_seconds: float | None,
) -> None:
    """Run the lessons; leave notebooks, results.json and index.html in build/course/PROFILE."""
    from pathlib import Path

    from colorcourse.checkout import find_root

    root = find_root()  # before the imports that take seconds
    from colorcourse.lint import expected_of
    from colorcourse.run import (
        Plan,
        run_course,
        succeeded,
        table,
        wants_strict,
        write_report,
    )

    plan = Plan(
        root,
        profile,
        students=not solutions,
        strict=wants_strict(strict),
        out=Path(out),
        cell_seconds=cell_seconds,
        lesson_seconds=lesson_seconds,
    )
    results = run_course(plan, lessons, expected_of(root), say=click.echo)
    index = write_report(plan, results)
    click.echo(f"\n{table(results)}\n\n{index}")
    if not succeeded(results):
        raise SystemExit(1)


@click.command()
@click.option("--open/--no-open", "open_it", default=True, help="Whether to open JupyterLab.")
def lab(open_it: bool) -> None:
    """Copy new lessons to my-lessons/, never overwriting, and open JupyterLab there."""
    from colorcourse.checkout import OWN, copy_lessons, find_root, open_jupyterlab

    root = find_root()
    copied, kept = copy_lessons(root)
    for name in copied:
        click.echo(f"copied {OWN}/{name}")
    for name in kept:
        click.echo(f"kept   {OWN}/{name} (yours)")
    if open_it:
        raise SystemExit(open_jupyterlab(root))
