pytest_plugins = ["pytester", "tests.nbval_tolerance"]
