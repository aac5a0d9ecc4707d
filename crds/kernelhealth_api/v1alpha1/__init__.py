"""The custom resources, version v1alpha1."""

GROUP = "kernelhealth.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
