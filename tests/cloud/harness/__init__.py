"""What stands for SageMaker in tests: moto as a process whose jobs and endpoints really run the package.

The folder of this package is on the path of the tests of the cloud room (`tests/cloud/conftest.py` sees to
it), so its modules are `harness.<name>`. Nothing here belongs to the library.
"""
