"""A tiny course in a folder, for the tests of the builder, the runner and the grader."""

from pathlib import Path

from colorcourse.exercises import Answer, Case, Exercise

SOURCE = '''\
# %% [markdown]
# # A demo lesson
# Three plain words.

# %% tags=["bootstrap"]
pass  # replaced by the builder

# %% tags=["parameters"]
profile = None

# %%
from colorcourse import check, exercise, record
from colorcourse.exercises import register
from tests.demo import DOUBLE

register(DOUBLE)

# %%
@exercise("demo.double")
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    y = x + x
    return y
    ### END SOLUTION

# %%
check("demo.double")

# %%
1 + 1

# %%
1 + 1

# %%
record("twice", double(21), unit="ab")

# %% [markdown] tags=["extra"]
# ## More
# Four words of extra.

# %%
print("the end")
'''

DOUBLE = Exercise(
    name="demo.double",
    lesson="01_demo",
    minutes=5,
    points=3,
    reference=lambda x: 2 * x,
    cases=(Case("two", lambda: (2.0,)), Case("five", lambda: (5.0,))),
    wrong=(Answer("thrice", lambda x: 3 * x, hint="Two, not three."),),
)


def known_answers(spec: Exercise) -> list[tuple[str, Answer]]:
    """Every listed answer of an exercise, and the verdict that it must get."""
    right = [*spec.right, Answer("reference", spec.reference)]
    return [("wrong", answer) for answer in spec.wrong] + [("right", answer) for answer in right]


def make_checkout(folder: Path, **sources: str) -> Path:
    """A folder that looks like a checkout, with the sources (default: the demo) as lessons."""
    text = '[project]\nname = "colorkit"\n[project.urls]\nRepository = "https://example.org/fork"\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    (folder / "solutions").mkdir()
    for name, source in (sources or {"01_demo": SOURCE}).items():
        (folder / "solutions" / f"{name}.py").write_text(source, encoding="utf-8")
    return folder
