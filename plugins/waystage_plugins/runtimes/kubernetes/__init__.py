"""Runtimes on Kubernetes and OpenShift, by the official client and server-side apply."""

from waystage_plugins.runtimes.kubernetes.job import KubernetesJob
from waystage_plugins.runtimes.kubernetes.kserve import KServe
from waystage_plugins.runtimes.kubernetes.openshift import OpenShiftServing
from waystage_plugins.runtimes.kubernetes.tfserving import KubernetesServing

KUBERNETES = (KubernetesServing, OpenShiftServing, KubernetesJob, KServe)

__all__ = ["KUBERNETES", "KServe", "KubernetesJob", "KubernetesServing", "OpenShiftServing"]
