"""The messages in which clients of Kubernetes send objects as protocol buffers: their fields.

The numbers and types are facts of `generated.proto` in k8s.io/api and k8s.io/apimachinery; kept are
the kinds that `kubectl` sends so, without fields that nobody sets here.

A field is written `number name:type`. The type is a message, `int`, `bool`, `bytes`, or nothing for
a text; `[...]` is a list of it, `{...}` a map from texts to it. A field without a name is one whose
own fields stand in JSON where it would be. With `?` it is told in JSON even if it is zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ROOTS = {  # the versions in which whole objects may come
    **dict.fromkeys(("ConfigMap", "Namespace", "ResourceQuota", "Secret", "Service",
                     "ServiceAccount"), "v1"),
    "Deployment": "apps/v1", "Job": "batch/v1", "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    **dict.fromkeys(("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"),
                    "rbac.authorization.k8s.io/v1"),
    **dict.fromkeys(("SelfSubjectReview", "TokenRequest"), "authentication.k8s.io/v1"),
    **dict.fromkeys(("SelfSubjectAccessReview", "SelfSubjectRulesReview"),
                    "authorization.k8s.io/v1"),
}  # fmt: skip
WRITTEN = """
BoundObjectReference: 1 kind, 2 apiVersion, 3 name, 4 uid
Capabilities: 1 add:[], 2 drop:[]
ClusterRole: 1 metadata:ObjectMeta, 2 rules:[PolicyRule]
ClusterRoleBinding: 1 metadata:ObjectMeta, 2 subjects:[Subject], 3 roleRef:RoleRef
ConfigMap: 1 metadata:ObjectMeta, 2 data:{}, 3 binaryData:{bytes}, 4 immutable:bool?
ConfigMapEnvSource: 1 :LocalObjectReference, 2 optional:bool?
ConfigMapKeySelector: 1 :LocalObjectReference, 2 key?, 3 optional:bool?
ConfigMapProjection: 1 :LocalObjectReference, 2 items:[KeyToPath], 4 optional:bool?
ConfigMapVolumeSource: 1 :LocalObjectReference, 2 items:[KeyToPath], 3 defaultMode:int?,
  4 optional:bool?
Container: 1 name?, 2 image, 3 command:[], 4 args:[], 5 workingDir, 6 ports:[ContainerPort],
  7 env:[EnvVar], 8 resources:ResourceRequirements, 9 volumeMounts:[VolumeMount],
  10 livenessProbe:Probe?, 11 readinessProbe:Probe?, 12 lifecycle:Lifecycle?,
  13 terminationMessagePath, 14 imagePullPolicy, 15 securityContext:SecurityContext?, 16 stdin:bool,
  17 stdinOnce:bool, 18 tty:bool, 19 envFrom:[EnvFromSource], 20 terminationMessagePolicy,
  22 startupProbe:Probe?, 24 restartPolicy?
ContainerPort: 1 name, 2 hostPort:int, 3 containerPort:int?, 4 protocol, 5 hostIP
CrossVersionObjectReference: 1 kind?, 2 name?, 3 apiVersion
Deployment: 1 metadata:ObjectMeta, 2 spec:DeploymentSpec, 3 status:Status
DeploymentSpec: 1 replicas:int?, 2 selector:LabelSelector?, 3 template:PodTemplateSpec,
  4 strategy:DeploymentStrategy, 5 minReadySeconds:int, 6 revisionHistoryLimit:int?, 7 paused:bool,
  9 progressDeadlineSeconds:int?
DeploymentStrategy: 1 type, 2 rollingUpdate:RollingUpdateDeployment?
DownwardAPIProjection: 1 items:[DownwardAPIVolumeFile]
DownwardAPIVolumeFile: 1 path?, 2 fieldRef:ObjectFieldSelector?,
  3 resourceFieldRef:ResourceFieldSelector?, 4 mode:int?
DownwardAPIVolumeSource: 1 items:[DownwardAPIVolumeFile], 2 defaultMode:int?
EmptyDirVolumeSource: 1 medium, 2 sizeLimit:Quantity?
EnvFromSource: 1 prefix, 2 configMapRef:ConfigMapEnvSource?, 3 secretRef:SecretEnvSource?
EnvVar: 1 name?, 2 value, 3 valueFrom:EnvVarSource?
EnvVarSource: 1 fieldRef:ObjectFieldSelector?, 2 resourceFieldRef:ResourceFieldSelector?,
  3 configMapKeyRef:ConfigMapKeySelector?, 4 secretKeyRef:SecretKeySelector?
ExecAction: 1 command:[]
HTTPGetAction: 1 path, 2 port:IntOrString?, 3 host, 4 scheme, 5 httpHeaders:[HTTPHeader]
HTTPHeader: 1 name?, 2 value?
HorizontalPodAutoscaler: 1 metadata:ObjectMeta, 2 spec:HorizontalPodAutoscalerSpec, 3 status:Status
HorizontalPodAutoscalerSpec: 1 scaleTargetRef:CrossVersionObjectReference, 2 minReplicas:int?,
  3 maxReplicas:int?, 4 metrics:[MetricSpec]
HostPathVolumeSource: 1 path?, 2 type?
Job: 1 metadata:ObjectMeta, 2 spec:JobSpec, 3 status:Status
JobSpec: 1 parallelism:int?, 2 completions:int?, 3 activeDeadlineSeconds:int?,
  4 selector:LabelSelector?, 5 manualSelector:bool?, 6 template:PodTemplateSpec,
  7 backoffLimit:int?, 8 ttlSecondsAfterFinished:int?, 9 completionMode?, 10 suspend:bool?,
  12 backoffLimitPerIndex:int?, 13 maxFailedIndexes:int?, 14 podReplacementPolicy?, 15 managedBy?
KeyToPath: 1 key?, 2 path?, 3 mode:int?
LabelSelector: 1 matchLabels:{}, 2 matchExpressions:[LabelSelectorRequirement]
LabelSelectorRequirement: 1 key?, 2 operator?, 3 values:[]
Lifecycle: 1 postStart:LifecycleHandler?, 2 preStop:LifecycleHandler?
LifecycleHandler: 1 exec:ExecAction?, 2 httpGet:HTTPGetAction?, 3 tcpSocket:TCPSocketAction?,
  4 sleep:SleepAction?
LocalObjectReference: 1 name
MetricSpec: 1 type?, 4 resource:ResourceMetricSource?
MetricTarget: 1 type?, 2 value:Quantity?, 3 averageValue:Quantity?, 4 averageUtilization:int?
Namespace: 1 metadata:ObjectMeta, 2 spec:NamespaceSpec, 3 status:Status
NamespaceSpec: 1 finalizers:[]
NonResourceAttributes: 1 path, 2 verb
ObjectFieldSelector: 1 apiVersion, 2 fieldPath?
ObjectMeta: 1 name, 2 generateName, 3 namespace, 4 selfLink, 5 uid, 6 resourceVersion,
  7 generation:int, 8 creationTimestamp:Time, 9 deletionTimestamp:Time?,
  10 deletionGracePeriodSeconds:int?, 11 labels:{}, 12 annotations:{},
  13 ownerReferences:[OwnerReference], 14 finalizers:[]
ObjectReference: 1 kind, 2 namespace, 3 name, 4 uid, 5 apiVersion, 6 resourceVersion, 7 fieldPath
OwnerReference: 1 kind?, 3 name?, 4 uid?, 5 apiVersion?, 6 controller:bool?,
  7 blockOwnerDeletion:bool?
PersistentVolumeClaimVolumeSource: 1 claimName?, 2 readOnly:bool
PodDisruptionBudget: 1 metadata:ObjectMeta, 2 spec:PodDisruptionBudgetSpec, 3 status:Status
PodDisruptionBudgetSpec: 1 minAvailable:IntOrString?, 2 selector:LabelSelector?,
  3 maxUnavailable:IntOrString?, 4 unhealthyPodEvictionPolicy?
PodSecurityContext: 2 runAsUser:int?, 3 runAsNonRoot:bool?, 4 supplementalGroups:[int],
  5 fsGroup:int?, 6 runAsGroup:int?, 9 fsGroupChangePolicy?, 10 seccompProfile:SeccompProfile?,
  12 supplementalGroupsPolicy?, 13 seLinuxChangePolicy?
PodSpec: 1 volumes:[Volume], 2 containers:[Container], 3 restartPolicy,
  4 terminationGracePeriodSeconds:int?, 5 activeDeadlineSeconds:int?, 6 dnsPolicy,
  7 nodeSelector:{}, 8 serviceAccountName, 9 serviceAccount, 10 nodeName, 11 hostNetwork:bool,
  12 hostPID:bool, 13 hostIPC:bool, 14 securityContext:PodSecurityContext?,
  15 imagePullSecrets:[LocalObjectReference], 16 hostname, 17 subdomain, 19 schedulerName,
  20 initContainers:[Container], 21 automountServiceAccountToken:bool?, 22 tolerations:[Toleration],
  24 priorityClassName, 25 priority:int?, 27 shareProcessNamespace:bool?, 29 runtimeClassName?,
  30 enableServiceLinks:bool?, 31 preemptionPolicy?, 32 overhead:{Quantity},
  35 setHostnameAsFQDN:bool?, 37 hostUsers:bool?, 40 resources:ResourceRequirements?
PodTemplateSpec: 1 metadata:ObjectMeta, 2 spec:PodSpec
PolicyRule: 1 verbs:[], 2 apiGroups:[], 3 resources:[], 4 resourceNames:[], 5 nonResourceURLs:[]
Probe: 1 :ProbeHandler, 2 initialDelaySeconds:int, 3 timeoutSeconds:int, 4 periodSeconds:int,
  5 successThreshold:int, 6 failureThreshold:int, 7 terminationGracePeriodSeconds:int?
ProbeHandler: 1 exec:ExecAction?, 2 httpGet:HTTPGetAction?, 3 tcpSocket:TCPSocketAction?
ProjectedVolumeSource: 1 sources:[VolumeProjection], 2 defaultMode:int?
ResourceAttributes: 1 namespace, 2 verb, 3 group, 4 version, 5 resource, 6 subresource, 7 name
ResourceFieldSelector: 1 containerName, 2 resource?, 3 divisor:Quantity
ResourceMetricSource: 1 name?, 2 target:MetricTarget
ResourceQuota: 1 metadata:ObjectMeta, 2 spec:ResourceQuotaSpec, 3 status:Status
ResourceQuotaSpec: 1 hard:{Quantity}, 2 scopes:[]
ResourceRequirements: 1 limits:{Quantity}, 2 requests:{Quantity}
Role: 1 metadata:ObjectMeta, 2 rules:[PolicyRule]
RoleBinding: 1 metadata:ObjectMeta, 2 subjects:[Subject], 3 roleRef:RoleRef
RoleRef: 1 apiGroup?, 2 kind?, 3 name?
RollingUpdateDeployment: 1 maxUnavailable:IntOrString?, 2 maxSurge:IntOrString?
SeccompProfile: 1 type?, 2 localhostProfile?
Secret: 1 metadata:ObjectMeta, 2 data:{bytes}, 3 type, 4 stringData:{}, 5 immutable:bool?
SecretEnvSource: 1 :LocalObjectReference, 2 optional:bool?
SecretKeySelector: 1 :LocalObjectReference, 2 key?, 3 optional:bool?
SecretProjection: 1 :LocalObjectReference, 2 items:[KeyToPath], 4 optional:bool?
SecretVolumeSource: 1 secretName, 2 items:[KeyToPath], 3 defaultMode:int?, 4 optional:bool?
SecurityContext: 1 capabilities:Capabilities?, 2 privileged:bool?, 4 runAsUser:int?,
  5 runAsNonRoot:bool?, 6 readOnlyRootFilesystem:bool?, 7 allowPrivilegeEscalation:bool?,
  8 runAsGroup:int?, 9 procMount?, 11 seccompProfile:SeccompProfile?
SelfSubjectAccessReview: 1 metadata:ObjectMeta, 2 spec:SelfSubjectAccessReviewSpec, 3 status:Status
SelfSubjectAccessReviewSpec: 1 resourceAttributes:ResourceAttributes?,
  2 nonResourceAttributes:NonResourceAttributes?
SelfSubjectReview: 1 metadata:ObjectMeta, 2 status:Status
SelfSubjectRulesReview: 1 metadata:ObjectMeta, 2 spec:SelfSubjectRulesReviewSpec, 3 status:Status
SelfSubjectRulesReviewSpec: 1 namespace
Service: 1 metadata:ObjectMeta, 2 spec:ServiceSpec, 3 status:Status
ServiceAccount: 1 metadata:ObjectMeta, 2 secrets:[ObjectReference],
  3 imagePullSecrets:[LocalObjectReference], 4 automountServiceAccountToken:bool?
ServiceAccountTokenProjection: 1 audience, 2 expirationSeconds:int?, 3 path?
ServicePort: 1 name, 2 protocol, 3 port:int?, 4 targetPort:IntOrString, 5 nodePort:int,
  6 appProtocol?
ServiceSpec: 1 ports:[ServicePort], 2 selector:{}, 3 clusterIP, 4 type, 5 externalIPs:[],
  7 sessionAffinity, 8 loadBalancerIP, 9 loadBalancerSourceRanges:[], 10 externalName,
  11 externalTrafficPolicy, 12 healthCheckNodePort:int, 13 publishNotReadyAddresses:bool,
  17 ipFamilyPolicy?, 18 clusterIPs:[], 19 ipFamilies:[], 20 allocateLoadBalancerNodePorts:bool?,
  21 loadBalancerClass?, 22 internalTrafficPolicy?, 23 trafficDistribution?
SleepAction: 1 seconds:int?
Subject: 1 kind?, 2 apiGroup, 3 name?, 4 namespace
TCPSocketAction: 1 port:IntOrString?, 2 host
TokenRequest: 1 metadata:ObjectMeta, 2 spec:TokenRequestSpec, 3 status:Status
TokenRequestSpec: 1 audiences:[], 3 boundObjectRef:BoundObjectReference?, 4 expirationSeconds:int?
Toleration: 1 key, 2 operator, 3 value, 4 effect, 5 tolerationSeconds:int?
Volume: 1 name?, 2 :VolumeSource
VolumeMount: 1 name?, 2 readOnly:bool, 3 mountPath?, 4 subPath, 5 mountPropagation?, 6 subPathExpr,
  7 recursiveReadOnly?
VolumeProjection: 1 secret:SecretProjection?, 2 downwardAPI:DownwardAPIProjection?,
  3 configMap:ConfigMapProjection?, 4 serviceAccountToken:ServiceAccountTokenProjection?
VolumeSource: 1 hostPath:HostPathVolumeSource?, 2 emptyDir:EmptyDirVolumeSource?,
  6 secret:SecretVolumeSource?, 10 persistentVolumeClaim:PersistentVolumeClaimVolumeSource?,
  16 downwardAPI:DownwardAPIVolumeSource?, 19 configMap:ConfigMapVolumeSource?,
  26 projected:ProjectedVolumeSource?
Status:
Time: 1 seconds:int, 2 nanos:int
Quantity: 1 string
IntOrString: 1 type:int, 2 intVal:int, 3 strVal
TypeMeta: 1 apiVersion, 2 kind
"""
FIELD = re.compile(
    r"(?P<number>\d+) (?P<name>\w*)(:(?P<many>[\[{]?)(?P<of>\w*)[\]}]?)?(?P<told>\??)"
)


@dataclass(frozen=True)
class Field:
    """A field of a message: what it is called in JSON, what it holds, and how often."""

    name: str
    of: str  # a message, or one of int, bool, bytes; empty for a text
    many: str  # "[" for a list, "{" for a map, else empty
    told: bool  # even when it is zero or empty


def _read(written: str) -> dict[str, dict[int, Field]]:
    found: dict[str, dict[int, Field]] = {}
    for line in re.sub(r"\n +", " ", written.strip()).splitlines():
        name, _, rest = line.partition(":")
        found[name] = {}
        for each in filter(None, rest.strip().split(", ")):
            field = FIELD.fullmatch(each)
            assert field, f"{name}: {each!r} is no field"
            found[name][int(field["number"])] = Field(
                field["name"], field["of"] or "", field["many"] or "", bool(field["told"])
            )
    return found


MESSAGES = _read(WRITTEN)
