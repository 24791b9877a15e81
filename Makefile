# One command for each thing to do. Every target makes .venv and installs what it needs when that
# is missing or older than pyproject.toml. Needs nothing but Python 3.11 or later and GNU make 3.81.
#
#   make course PROFILE=ci              the profile of a run: ci, laptop (the default) or gpu
#   make test CONSTRAINTS=constraints.txt   the exact versions that CI has tested
#   make lab PYTHON=/path/to/python3    another Python than the first one that is new enough

PROFILE ?= laptop
CONSTRAINTS ?=
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

VENV := .venv
PY := $(VENV)/bin/python
# A stamp a set of constraints, so that asking for other ones installs again.
STAMP := $(if $(CONSTRAINTS),-$(notdir $(CONSTRAINTS)))
LAB := $(VENV)/.lab$(STAMP)
DEV := $(VENV)/.dev$(STAMP)
DOCS := $(VENV)/.docs$(STAMP)
# Tests on up to four cores, each process with one thread (tests/conftest.py).
PARALLEL := -n logical --maxprocesses 4 --dist worksteal
INSTALL := $(PY) -m pip install --disable-pip-version-check --quiet --progress-bar off \
	$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

# Does .venv import the two packages of this folder? (It does not once its Python was removed or the
# folder moved.) If not, no stamp counts.
OWN := import colorkit, colorcourse, os; \
	print(all(os.path.samefile(p.__path__[0], p.__name__) for p in (colorkit, colorcourse)))
ifneq ($(shell $(PY) -I -c '$(OWN)' 2>/dev/null),True)
.PHONY: $(LAB) $(DEV) $(DOCS)
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup course lab doctor test bench notebooks site format constraints dist slides figures clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "  (PROFILE=ci|laptop|gpu, CONSTRAINTS=constraints.txt, PYTHON=python3.12)"

setup: $(DEV)  ## everything, for work on the course itself (other targets set up what they need)

lab: $(LAB)  ## copy the lessons to my-lessons/ (nothing is overwritten) and open JupyterLab there
	$(PY) -m colorkit lab

course: $(LAB)  ## run every lesson, table of minutes, memory and numbers (PROFILE=laptop)
	$(PY) -m colorkit course run --profile $(PROFILE)

doctor: $(LAB)  ## try what a lesson needs on this machine, and print a report to paste
	$(PY) -m colorkit doctor

test: $(DEV)  ## all tests: library, exercises, notebooks, browser
	$(PY) -m pytest $(PARALLEL)

bench: $(DEV)  ## timings beside other libraries
	$(PY) -m benchmarks

notebooks: $(LAB)  ## build lessons and solutions from solutions/*.py, execute what changed
	$(PY) -m colorkit notebooks build
	$(PY) -m colorkit notebooks execute

slides: $(DEV)  ## a deck for each lesson from its executed solution, in build/slides
	$(PY) -m scripts.slides

figures: $(DEV)  ## every figure of the lessons as a file with its caption, in build/figures
	$(PY) -m scripts.figures

site: $(DOCS)  ## the course as a site, in build/site (open index.html there)
	$(PY) docs/make_site.py

format: $(DEV)  ## mend and format the code with ruff
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

constraints: $(DEV)  ## write the installed versions into constraints.txt
	@{ sed '/^#/!d' constraints.txt; \
	  $(PY) -m pip freeze --exclude-editable --exclude colorkit \
	  | sed -e '/ @ /d' -e '/^-/d' -e '/^#/d' -e 's/+.*//' ; } > constraints.tmp
	@mv constraints.tmp constraints.txt

dist: $(DEV)  ## build the source archive, and from it the wheel, into dist/, and check both
	rm -rf dist
	$(PY) -m build --no-isolation
	$(PY) -m twine check --strict dist/*

clean:  ## remove what was built; .venv, my-lessons/ and data stay
	rm -rf build dist .pytest_cache .ruff_cache *.egg-info constraints.tmp
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(LAB): pyproject.toml $(CONSTRAINTS)
	$(call environment,lab)
	@touch $@

$(DOCS): pyproject.toml $(CONSTRAINTS)
	$(call environment,docs)
	@touch $(LAB) $@

# The developer's set holds the other two, so all count as installed.
$(DEV): pyproject.toml $(CONSTRAINTS)
	$(call environment,dev)
	@touch $(LAB) $(DOCS) $@

# $(call environment,extra): a working .venv of a Python that is new enough, and colorkit[extra] in
# it. A .venv whose Python was removed or is too old is made anew.
define environment
	@$(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	    echo "colorkit needs Python 3.11 or later; $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1 | tail -n 1)." >&2; \
	    echo "Install a newer one, then: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $(PYTHON)"; \
	  $(PYTHON) -m venv --clear $(VENV) || { \
	    rm -rf $(VENV); \
	    echo "$(PYTHON) cannot make a virtual environment." >&2; \
	    echo "On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; \
	    exit 1; \
	  }; \
	}
	@echo "Installing colorkit[$(1)] into $(VENV) (the first time: some GB, minutes)"
	@$(INSTALL) --editable ".[$(1)]" || { \
	  echo "The installation failed; pip's message above says why. Nothing else was changed;" >&2; \
	  echo "run the same command again to go on." >&2; \
	  exit 1; \
	}
endef
