"""What stands for SageMaker in tests: moto as a process whose jobs and endpoints really run the package.

moto answers for S3, IAM, STS, CloudWatch and KMS, and for the operations of SageMaker that are not here.
Models, endpoints, the runtime, and training, tuning, processing and batch transform jobs are answered by
`backend`: every reply is held against botocore's model of it before it leaves.

What runs is real: the commands of jobs on their channels, in a folder that stands for `/opt/ml`; a
package's SavedModel and its own handler. What stands for something that cannot be had here:

* TensorFlow with a small REST interface (`containers/tensorflow_serving.py`) for TensorFlow Serving;
* `containers/handler_service.py` for AWS's handler service, and `containers/toolkit.py` for sagemaker-
  training;
* folders for machines and images: this Python, this TensorFlow, one network, no GPU, no limits of memory.

Not checked at all: what a role may do (every call is allowed), networks, quotas, prices, and whether an
image or an instance type exists in a region. Wordings of errors follow AWS's documentation and reports of
users.

The folder of this package is on the path of the tests of the cloud room (`tests/cloud/conftest.py` sees to
it), so its modules are `harness.<name>`. Nothing here belongs to the library.
"""
