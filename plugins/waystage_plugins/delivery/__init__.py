"""Delivery by others: commits that a GitOps controller rolls out, and watching it do so."""

from waystage_plugins.delivery.argocd_health import ArgoHealth
from waystage_plugins.delivery.argocd_restore import ArgoRestore
from waystage_plugins.delivery.argocd_sync import ArgoSync
from waystage_plugins.delivery.git_commit import GitCommit
from waystage_plugins.delivery.git_merge import GitMerge
from waystage_plugins.delivery.git_revert import GitRevert

DELIVERY = (ArgoHealth, ArgoRestore, ArgoSync, GitCommit, GitMerge, GitRevert)

__all__ = ["DELIVERY"]
