"""Versions of kinds that Kubernetes still knows, and serves no longer or not unless asked to.

An object of one is refused for its version, not for being unknown. Source: k8s.io/api, the register.go of each version.
"""

from __future__ import annotations

_KINDS = """
admissionregistration.k8s.io/v1alpha1 MutatingAdmissionPolicy MutatingAdmissionPolicyBinding
admissionregistration.k8s.io/v1alpha1 ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
admissionregistration.k8s.io/v1beta1 MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration
admissionregistration.k8s.io/v1beta1 ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
admissionregistration.k8s.io/v1beta1 ValidatingWebhookConfiguration
apps/v1beta1 ControllerRevision Deployment Scale StatefulSet
apps/v1beta2 ControllerRevision DaemonSet Deployment ReplicaSet Scale StatefulSet
authentication.k8s.io/v1alpha1 SelfSubjectReview
authentication.k8s.io/v1beta1 SelfSubjectReview TokenReview
authorization.k8s.io/v1beta1 LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview
batch/v1beta1 CronJob
certificates.k8s.io/v1beta1 CertificateSigningRequest
coordination.k8s.io/v1beta1 Lease
discovery.k8s.io/v1beta1 EndpointSlice
events.k8s.io/v1beta1 Event
extensions/v1beta1 DaemonSet Deployment Ingress NetworkPolicy ReplicaSet Scale
flowcontrol.apiserver.k8s.io/v1beta1 FlowSchema PriorityLevelConfiguration
flowcontrol.apiserver.k8s.io/v1beta2 FlowSchema PriorityLevelConfiguration
flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema PriorityLevelConfiguration
networking.k8s.io/v1beta1 IPAddress Ingress IngressClass ServiceCIDR
node.k8s.io/v1alpha1 RuntimeClass
node.k8s.io/v1beta1 RuntimeClass
policy/v1beta1 Eviction PodDisruptionBudget
rbac.authorization.k8s.io/v1alpha1 ClusterRole ClusterRoleBinding Role RoleBinding
rbac.authorization.k8s.io/v1beta1 ClusterRole ClusterRoleBinding Role RoleBinding
resource.k8s.io/v1beta1 DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice
resource.k8s.io/v1beta2 DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice
scheduling.k8s.io/v1beta1 PriorityClass
storage.k8s.io/v1alpha1 CSIStorageCapacity VolumeAttachment VolumeAttributesClass
storage.k8s.io/v1beta1 CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass
"""


def is_retired(version: str, named: str) -> bool:
    """Whether that apiVersion had that kind; read for refusals alone, so nothing of it is kept."""
    lines = (line.split() for line in _KINDS.splitlines())
    return any(words and words[0] == version and named in words[1:] for words in lines)
