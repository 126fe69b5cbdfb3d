# The README and book/setup.md describe these targets; each is a line or two of plain commands.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: book test notebooks students numerics bench lab lint constraints clean

book: $(INSTALLED)
	@# What was read with a warning is read again: Sphinx would not repeat the warning next time.
	$(BIN)/jupyter-book build . -W -n --keep-going --quiet || { rm -rf _build/.doctrees; exit 1; }
	@echo "The book is built. Open it in a browser: file://$(CURDIR)/_build/html/index.html"

# Two tests run at a time on two cores: further threads of the libraries would only fight for them.
test: $(INSTALLED)
	OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

notebooks: $(INSTALLED)
	$(BIN)/python tools/notebooks.py $(CHAPTER) $(if $(FORCE),--force)

students: $(INSTALLED)
	$(BIN)/python -m tools.students _build/students

# Trained numbers differ in their last digits between CPUs: the notebooks must pass under each of these.
NUMERICS = TF_ENABLE_ONEDNN_OPTS=1 TF_ENABLE_ONEDNN_OPTS=0 ONEDNN_MAX_CPU_ISA=SSE41 \
	TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTRAOP_THREADS=2 OPENBLAS_CORETYPE=Nehalem \
	NPY_DISABLE_CPU_FEATURES=X86_V3,X86_V4,AVX512_ICL,AVX512_SPR
numerics: $(INSTALLED)
	@set -e; for setting in $(NUMERICS); do \
		echo "== $$setting"; env $$setting $(BIN)/python -m pytest -q notebooks; done

# Compilers have more to say about the peers than anybody wants to read.
bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements-bench.txt
	$(BIN)/python -W ignore -m benchmarks.run
	$(BIN)/python -W ignore -m benchmarks.catalog
	$(BIN)/python -W ignore -m benchmarks.speed
	@# ScaNN does not run beside the book's TensorFlow.
	$(BIN)/python -m venv .venv/scann && .venv/scann/bin/pip install --quiet scann==1.4.2
	$(BIN)/python -W ignore -m benchmarks.retrieval
	$(BIN)/python -W ignore -m benchmarks.serving
	$(BIN)/python -m benchmarks.write_page

lab: $(INSTALLED)
	$(BIN)/jupyter-lab

lint: $(INSTALLED)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

constraints: $(INSTALLED)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --upgrade --python-version 3.11 requirements.txt \
		--output-file constraints.txt

clean:
	rm -rf .venv _build .pytest_cache .ruff_cache .hypothesis *.egg-info

$(INSTALLED): requirements.txt constraints.txt pyproject.toml tools/install.py
	@command -v $(PYTHON) >/dev/null || { echo "*** $(PYTHON) was not found. Install Python 3.11 or newer, or name it: make book PYTHON=python3.12"; exit 1; }
	$(PYTHON) tools/install.py
	@touch $@
