"""nbgrader's settings for this course: release and grade ``solutions/*.ipynb`` as they are.

Copy the notebooks of an assignment to ``source/NAME/`` of an nbgrader course folder, and this
file to the folder itself. Then ``nbgrader generate_assignment NAME`` releases them, with the same
stub as ``lessons/``, and ``nbgrader autograde NAME`` grades.
"""

import os

# An undone or wrong answer raises only so, and nbgrader takes points away only for what raises.
# The variables reach the kernels that are started from here, formgrader's included.
os.environ["COLORKIT_STRICT"] = "1"
os.environ.setdefault("COLORKIT_PROFILE", "ci")

c = get_config()  # noqa: F821 - traitlets provides it

c.ClearSolutions.code_stub = {"python": "...  # your code here"}
c.ClearSolutions.begin_solution_delimeter = "### BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "### END SOLUTION"

# Seconds for one cell. The checks have their own, far shorter limits.
c.Execute.timeout = 300
c.Execute.interrupt_on_timeout = True
