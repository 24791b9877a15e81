"""nbgrader's settings for this course: release and grade ``solutions/*.ipynb`` as they are.

Copy the notebooks of an assignment to ``source/NAME/`` of an nbgrader course folder, and this
file to the folder itself. Then ``nbgrader generate_assignment NAME`` releases them, with the same
stub as ``lessons/``, and ``nbgrader autograde NAME`` grades, with the grader of ``colorkit grade``:
no submitted notebook is executed, and copied or deleted cells are mended (docs/grading.md).
"""

import os

from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader import preprocessors as own

from colorcourse.grading.nbgrader import Grade, Mend

# For `nbgrader validate`, which does execute a notebook, the student's own.
os.environ["COLORKIT_STRICT"] = "1"
os.environ.setdefault("COLORKIT_PROFILE", "ci")

c = get_config()  # noqa: F821 - traitlets provides it

c.Autograde.sanitize_preprocessors = [
    own.ClearOutput,
    Mend,
    own.OverwriteKernelspec,
    own.OverwriteCells,
    own.CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    Grade,
    own.IgnorePattern,
    ClearMetadataPreprocessor,
    own.LimitOutput,
    own.SaveAutoGrades,
    own.AssignLatePenalties,
    own.CheckCellMetadata,
]
# c.Grade.private = "/where/no/student/reads/it.json"  # colorkit grade --new-private

c.ClearSolutions.text_stub = "Your answer here."
c.ClearSolutions.code_stub = {"python": "...  # your code here"}
c.ClearSolutions.begin_solution_delimeter = "### BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "### END SOLUTION"

# Seconds for one cell. The checks have their own, far shorter limits.
c.Execute.timeout = 300
c.Execute.interrupt_on_timeout = True
