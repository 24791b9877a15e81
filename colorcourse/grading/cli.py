"""``colorkit grade`` for instructors, ``colorkit collect`` for students."""

import contextlib
import hashlib
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import click

PATH = click.Path(path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", required=False, type=FOLDER)
@click.option("--out", type=PATH, default="grades.csv", show_default=True, help="Table of points.")
@click.option("--private", type=PATH, help="A secret, for cases that no student has seen.")
@click.option("--new-private", type=PATH, help="Make such a file, and do nothing else.")
def grade(folder: Path | None, out: Path, private: Path | None, new_private: Path | None) -> None:
    """Grade the notebooks below FOLDER: of any names, in folders or zip files, one a student.

    The student is the folder's name, else the file's. The notebooks are not executed: their answers
    are, in processes of their own. A row a student goes to --out, pages to a folder beside it.
    """
    from colorcourse.grading import grade as grader
    from colorcourse.grading import report

    if new_private:
        grader.new_private(new_private)
        click.echo(f"{new_private}: keep it where no student reads it, for as long as you grade")
        return
    if folder is None:
        raise click.UsageError("name the FOLDER with the notebooks that were handed in")
    secret = grader.read_private(private) if private else ""
    students = grader.grade_folder(folder, secret, click.echo, hidden=[private] if private else [])
    index = report.write_reports(students, out)
    click.echo(f"\n{report.summary_text(students)}\n\n{out}\n{index}")


@click.command()
@click.argument("folder", default="my-lessons", type=FOLDER)
@click.option("--out", type=PATH, help="The zip file.  [default: ./FOLDER.zip]")
def collect(folder: Path, out: Path | None) -> None:
    """Pack the notebooks of FOLDER (my-lessons) into one zip file to hand in.

    It holds a checksum of each, and the doctor's report. What is still undone is said, and packed
    all the same.
    """
    from colorcourse.doctor import doctor
    from colorcourse.exercises import all_exercises
    from colorcourse.grading.extract import is_stub, solution
    from colorcourse.grading.grade import read
    from colorkit.files import write_whole

    paths = [p for p in sorted(folder.rglob("*.ipynb")) if ".ipynb_checkpoints" not in p.parts]
    if not paths:
        raise click.ClickException(f"{folder} holds no notebook")
    specs, content = all_exercises(), {}
    for path in paths:
        content[path.relative_to(folder).as_posix()] = data = path.read_bytes()
        try:
            cells, lesson = read(data)
        except ValueError as error:
            click.echo(f"{path} {error}", err=True)
            continue
        undone = [
            name for name in solution(lesson).answers
            if all(is_stub(specs[name], node) for node in cells.answers.get(name, []))
        ]  # fmt: skip
        said = f"undone: {', '.join(undone)}" if undone else "all exercises are answered"
        click.echo(f"{path}: {said}")
        for name, why in cells.broken.items():
            click.echo(f"{path}: {name} is no Python: {why}")
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in content.items()]
    report = io.StringIO()
    with contextlib.redirect_stdout(report), contextlib.suppress(SystemExit):
        doctor([], standalone_mode=False)
    content["SHA256SUMS"] = "\n".join([*sums, ""]).encode()
    content["doctor.txt"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n{report.getvalue()}".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    out = out or Path(f"{folder.resolve().name}.zip")
    write_whole(out, packed.getvalue())
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    click.echo(f"{out}: {len(paths)} notebooks, SHA-256 {digest}")
