"""nbgrader's autograde with our own grader: no notebook is executed.

``nbgrader_config.py`` puts these two preprocessors among nbgrader's own.
"""

import re
from pathlib import Path

from nbformat import from_dict
from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor, OverwriteCells
from traitlets import Unicode

from colorcourse.exercises import all_exercises
from colorcourse.grading.extract import read_cells
from colorcourse.grading.grade import grade_lesson, read_private


class Mend(NbGraderPreprocessor):
    """Put right what makes nbgrader stop or wait: copied, deleted and altered cells.

    Of cells with one name only the last keeps it, graded cells that are gone are put back at the
    end, and what the notebook says of its cells is what the gradebook says.
    """

    def preprocess(self, nb, resources):
        about, seen = resources["nbgrader"], set()
        with Gradebook(about["db_url"]) as book:
            source = book.find_notebook(about["notebook"], about["assignment"])
            graded = {cell.name: cell for cell in source.grade_cells}
            written = {cell.name for cell in source.solution_cells}
            tasks = {cell.name for cell in source.task_cells}
            known = {cell.name: cell for cell in source.source_cells}
            for cell in reversed(nb.cells):
                name = cell.metadata.pop("nbgrader", {}).get("grade_id")
                if name in known and name not in seen:
                    seen.add(name)
                    cell.metadata["nbgrader"] = {
                        "schema_version": 3, "grade_id": name, "grade": name in graded,
                        "solution": name in written, "task": name in tasks,
                        "locked": bool(known[name].locked),
                    }  # fmt: skip
                    if name in graded:
                        cell.metadata["nbgrader"]["points"] = graded[name].max_score
                        cell.metadata["nbgrader"]["cell_type"] = known[name].cell_type
                elif name:
                    text = "%s: a copy of the cell %s is graded as a plain cell"
                    self.log.warning(text, about["student"], name)
            for name in graded.keys() - seen:
                self.log.warning("%s: the cell %s was gone and is put back", about["student"], name)
                most, own = graded[name].max_score, name in written
                cell = OverwriteCells().missing_cell_transform(known[name], most, own)
                cell.source = known[name].source  # without a notice, for its sum is checked
                nb.cells.append(from_dict(cell))
        return nb, resources


class Grade(NbGraderPreprocessor):
    """In the place of nbgrader's Execute: what each check cell's exercises earned is its output."""

    private = Unicode("", help="A file of `colorkit grade --new-private`.").tag(config=True)

    def preprocess(self, nb, resources):
        secret = read_private(Path(self.private)) if self.private else ""
        cells = read_cells(c.source for c in nb.cells if c.cell_type == "code")
        checks = [cell for cell in nb.cells if utils.is_grade(cell) and cell.cell_type == "code"]
        specs, marks = all_exercises(), {}
        named = {id(c): re.findall(r'^check\("([^"]+)"\)', c.source, re.MULTILINE) for c in checks}
        for lesson in {specs[n].lesson for names in named.values() for n in names if n in specs}:
            hidden = [str(Path(path).resolve()) for path in filter(None, [self.private])]
            marks |= grade_lesson(cells, lesson, secret, hidden)
        for cell in checks:
            found = [marks[name] for name in named[id(cell)] if name in marks]
            texts = [f"{m.exercise}: {m.state}, {m.passed} of {m.cases} cases. {m.hint}"
                     for m in found]  # fmt: skip
            share = sum(m.points for m in found) / max(1, sum(m.most for m in found))
            points = round(share * cell.metadata.nbgrader["points"], 2)
            plain = {"text/plain": f"{points:g}"}
            result = new_output("execute_result", data=plain, execution_count=None)
            cell.outputs = [new_output("stream", text="\n".join(texts)), result]
        return nb, resources
