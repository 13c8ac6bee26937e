"""The fields of upstream's internal types below a pod's spec, whose JSON bears Go's names.

A line is a type, then its fields in Go's order: name in Go, name in JSON (empty: Go's with a small first letter; after
``..``: a field of the pod's spec), kind. Kinds: ``s`` string, ``b`` bool, ``i`` number, ``q`` quantity, ``m`` map, ``l``
list and ``p`` pointer of something plain; a type's own name, ``*`` before it a pointer, ``[]`` a list. Source,
Kubernetes 1.36: pkg/apis/core/types.go beside k8s.io/api/core/v1/types.go.
"""

from __future__ import annotations

from typing import Final

TYPES: Final = """
AWSElasticBlockStoreVolumeSource VolumeID::s FSType:fsType:s Partition::i ReadOnly::b
Affinity NodeAffinity::*NodeAffinity PodAffinity::*PodAffinity PodAntiAffinity::*PodAntiAffinity
AppArmorProfile Type::s LocalhostProfile::p
AzureDiskVolumeSource DiskName::s DataDiskURI:diskURI:s CachingMode::p FSType:fsType:p ReadOnly::p Kind::p
AzureFileVolumeSource SecretName::s ShareName::s ReadOnly::b
CSIVolumeSource Driver::s ReadOnly::p FSType:fsType:p VolumeAttributes::m NodePublishSecretRef::*LocalObjectReference
Capabilities Add::l Drop::l
CephFSVolumeSource Monitors::l Path::s User::s SecretFile::s SecretRef::*LocalObjectReference ReadOnly::b
CinderVolumeSource VolumeID::s FSType:fsType:s ReadOnly::b SecretRef::*LocalObjectReference
ClusterTrustBundleProjection Name::p SignerName::p LabelSelector::p Optional::p Path::s
ConfigMapEnvSource Name::s Optional::p
ConfigMapKeySelector Name::s Key::s Optional::p
ConfigMapProjection Name::s Items::[]KeyToPath Optional::p
ConfigMapVolumeSource Name::s Items::[]KeyToPath DefaultMode::p Optional::p
Container Name::s Image::s Command::l Args::l WorkingDir::s Ports::[]ContainerPort EnvFrom::[]EnvFromSource Env::[]EnvVar Resources::ResourceRequirements ResizePolicy::[]ContainerResizePolicy RestartPolicy::p RestartPolicyRules::[]ContainerRestartRule VolumeMounts::[]VolumeMount VolumeDevices::[]VolumeDevice LivenessProbe::*Probe ReadinessProbe::*Probe StartupProbe::*Probe Lifecycle::*Lifecycle TerminationMessagePath::s TerminationMessagePolicy::s ImagePullPolicy::s SecurityContext::*SecurityContext Stdin::b StdinOnce::b TTY:tty:b
ContainerPort Name::s HostPort::i ContainerPort::i Protocol::s HostIP::s
ContainerResizePolicy ResourceName::s RestartPolicy::s
ContainerRestartRule Action::s ExitCodes::*ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes Operator::s Values::l
DownwardAPIProjection Items::[]DownwardAPIVolumeFile
DownwardAPIVolumeFile Path::s FieldRef::*ObjectFieldSelector ResourceFieldRef::*ResourceFieldSelector Mode::p
DownwardAPIVolumeSource Items::[]DownwardAPIVolumeFile DefaultMode::p
EmptyDirVolumeSource Medium::s SizeLimit::p
EnvFromSource Prefix::s ConfigMapRef::*ConfigMapEnvSource SecretRef::*SecretEnvSource
EnvVar Name::s Value::s ValueFrom::*EnvVarSource
EnvVarSource FieldRef::*ObjectFieldSelector ResourceFieldRef::*ResourceFieldSelector ConfigMapKeyRef::*ConfigMapKeySelector SecretKeyRef::*SecretKeySelector FileKeyRef::*FileKeySelector
EphemeralContainer Name::s Image::s Command::l Args::l WorkingDir::s Ports::[]ContainerPort EnvFrom::[]EnvFromSource Env::[]EnvVar Resources::ResourceRequirements ResizePolicy::[]ContainerResizePolicy RestartPolicy::p RestartPolicyRules::[]ContainerRestartRule VolumeMounts::[]VolumeMount VolumeDevices::[]VolumeDevice LivenessProbe::*Probe ReadinessProbe::*Probe StartupProbe::*Probe Lifecycle::*Lifecycle TerminationMessagePath::s TerminationMessagePolicy::s ImagePullPolicy::s SecurityContext::*SecurityContext Stdin::b StdinOnce::b TTY:tty:b TargetContainerName::s
EphemeralVolumeSource VolumeClaimTemplate::*PersistentVolumeClaimTemplate
ExecAction Command::l
FCVolumeSource TargetWWNs::l Lun::p FSType:fsType:s ReadOnly::b WWIDs:wwids:l
FileKeySelector VolumeName::s Path::s Key::s Optional::p
FlexVolumeSource Driver::s FSType:fsType:s SecretRef::*LocalObjectReference ReadOnly::b Options::m
FlockerVolumeSource DatasetName::s DatasetUUID::s
GCEPersistentDiskVolumeSource PDName:pdName:s FSType:fsType:s Partition::i ReadOnly::b
GRPCAction Port::i Service::p
GitRepoVolumeSource Repository::s Revision::s Directory::s
GlusterfsVolumeSource EndpointsName:endpoints:s Path::s ReadOnly::b
HTTPGetAction Path::s Port::i Host::s Scheme::s HTTPHeaders:httpHeaders:[]HTTPHeader
HTTPHeader Name::s Value::s
HostAlias IP:ip:s Hostnames::l
HostPathVolumeSource Path::s Type::p
ISCSIVolumeSource TargetPortal::s IQN:iqn:s Lun::i ISCSIInterface:iscsiInterface:s FSType:fsType:s ReadOnly::b Portals::l DiscoveryCHAPAuth:chapAuthDiscovery:b SessionCHAPAuth:chapAuthSession:b SecretRef::*LocalObjectReference InitiatorName::p
ImageVolumeSource Reference::s PullPolicy::s
KeyToPath Key::s Path::s Mode::p
Lifecycle PostStart::*LifecycleHandler PreStop::*LifecycleHandler StopSignal::p
LifecycleHandler Exec::*ExecAction HTTPGet:httpGet:*HTTPGetAction TCPSocket:tcpSocket:*TCPSocketAction Sleep::*SleepAction
LocalObjectReference Name::s
NFSVolumeSource Server::s Path::s ReadOnly::b
NodeAffinity RequiredDuringSchedulingIgnoredDuringExecution::*NodeSelector PreferredDuringSchedulingIgnoredDuringExecution::[]PreferredSchedulingTerm
NodeSelector NodeSelectorTerms::[]NodeSelectorTerm
NodeSelectorRequirement Key::s Operator::s Values::l
NodeSelectorTerm MatchExpressions::[]NodeSelectorRequirement MatchFields::[]NodeSelectorRequirement
ObjectFieldSelector APIVersion:apiVersion:s FieldPath::s
PersistentVolumeClaimSpec AccessModes::l Selector::p Resources::VolumeResourceRequirements VolumeName::s StorageClassName::p VolumeMode::p DataSource::*TypedLocalObjectReference DataSourceRef::*TypedObjectReference VolumeAttributesClassName::p
PersistentVolumeClaimTemplate Spec::PersistentVolumeClaimSpec
PersistentVolumeClaimVolumeSource ClaimName::s ReadOnly::b
PhotonPersistentDiskVolumeSource PdID::s FSType:fsType:s
PodAffinity RequiredDuringSchedulingIgnoredDuringExecution::[]PodAffinityTerm PreferredDuringSchedulingIgnoredDuringExecution::[]WeightedPodAffinityTerm
PodAffinityTerm LabelSelector::p Namespaces::l TopologyKey::s NamespaceSelector::p MatchLabelKeys::l MismatchLabelKeys::l
PodAntiAffinity RequiredDuringSchedulingIgnoredDuringExecution::[]PodAffinityTerm PreferredDuringSchedulingIgnoredDuringExecution::[]WeightedPodAffinityTerm
PodCertificateProjection SignerName::s KeyType::s MaxExpirationSeconds::p CredentialBundlePath::s KeyPath::s CertificateChainPath::s UserAnnotations::m
PodDNSConfig Nameservers::l Searches::l Options::[]PodDNSConfigOption
PodDNSConfigOption Name::s Value::p
PodOS Name::s
PodReadinessGate ConditionType::s
PodResourceClaim Name::s ResourceClaimName::p ResourceClaimTemplateName::p
PodSchedulingGate Name::s
PodSchedulingGroup PodGroupName::p
PodSecurityContext HostNetwork:..hostNetwork:b HostPID:..hostPID:b HostIPC:..hostIPC:b ShareProcessNamespace:..shareProcessNamespace:p HostUsers:..hostUsers:p SELinuxOptions:seLinuxOptions:*SELinuxOptions WindowsOptions::*WindowsSecurityContextOptions RunAsUser::p RunAsGroup::p RunAsNonRoot::p SupplementalGroups::l SupplementalGroupsPolicy::p FSGroup:fsGroup:p FSGroupChangePolicy:fsGroupChangePolicy:p Sysctls::[]Sysctl SeccompProfile::*SeccompProfile AppArmorProfile::*AppArmorProfile SELinuxChangePolicy:seLinuxChangePolicy:p
PodSpec Volumes::[]Volume InitContainers::[]Container Containers::[]Container EphemeralContainers::[]EphemeralContainer RestartPolicy::s TerminationGracePeriodSeconds::p ActiveDeadlineSeconds::p DNSPolicy:dnsPolicy:s NodeSelector::m ServiceAccountName::s AutomountServiceAccountToken::p NodeName::s SecurityContext::*PodSecurityContext ImagePullSecrets::[]LocalObjectReference Hostname::s Subdomain::s SetHostnameAsFQDN::p Affinity::*Affinity SchedulerName::s Tolerations::[]Toleration HostAliases::[]HostAlias PriorityClassName::s Priority::p PreemptionPolicy::p DNSConfig:dnsConfig:*PodDNSConfig ReadinessGates::[]PodReadinessGate RuntimeClassName::p Overhead::m EnableServiceLinks::p TopologySpreadConstraints::[]TopologySpreadConstraint OS:os:*PodOS SchedulingGates::[]PodSchedulingGate ResourceClaims::[]PodResourceClaim Resources::*ResourceRequirements HostnameOverride::p SchedulingGroup::*PodSchedulingGroup
PortworxVolumeSource VolumeID::s FSType:fsType:s ReadOnly::b
PreferredSchedulingTerm Weight::i Preference::NodeSelectorTerm
Probe Exec::*ExecAction HTTPGet:httpGet:*HTTPGetAction TCPSocket:tcpSocket:*TCPSocketAction GRPC:grpc:*GRPCAction InitialDelaySeconds::i TimeoutSeconds::i PeriodSeconds::i SuccessThreshold::i FailureThreshold::i TerminationGracePeriodSeconds::p
ProjectedVolumeSource Sources::[]VolumeProjection DefaultMode::p
QuobyteVolumeSource Registry::s Volume::s ReadOnly::b User::s Group::s Tenant::s
RBDVolumeSource CephMonitors:monitors:l RBDImage:image:s FSType:fsType:s RBDPool:pool:s RadosUser:user:s Keyring::s SecretRef::*LocalObjectReference ReadOnly::b
ResourceClaim Name::s Request::s
ResourceFieldSelector ContainerName::s Resource::s Divisor::q
ResourceRequirements Limits::m Requests::m Claims::[]ResourceClaim
SELinuxOptions User::s Role::s Type::s Level::s
ScaleIOVolumeSource Gateway::s System::s SecretRef::*LocalObjectReference SSLEnabled:sslEnabled:b ProtectionDomain::s StoragePool::s StorageMode::s VolumeName::s FSType:fsType:s ReadOnly::b
SeccompProfile Type::s LocalhostProfile::p
SecretEnvSource Name::s Optional::p
SecretKeySelector Name::s Key::s Optional::p
SecretProjection Name::s Items::[]KeyToPath Optional::p
SecretVolumeSource SecretName::s Items::[]KeyToPath DefaultMode::p Optional::p
SecurityContext Capabilities::*Capabilities Privileged::p SELinuxOptions:seLinuxOptions:*SELinuxOptions WindowsOptions::*WindowsSecurityContextOptions RunAsUser::p RunAsGroup::p RunAsNonRoot::p ReadOnlyRootFilesystem::p AllowPrivilegeEscalation::p ProcMount::p SeccompProfile::*SeccompProfile AppArmorProfile::*AppArmorProfile
ServiceAccountTokenProjection Audience::s ExpirationSeconds::i Path::s
SleepAction Seconds::i
StorageOSVolumeSource VolumeName::s VolumeNamespace::s FSType:fsType:s ReadOnly::b SecretRef::*LocalObjectReference
Sysctl Name::s Value::s
TCPSocketAction Port::i Host::s
Toleration Key::s Operator::s Value::s Effect::s TolerationSeconds::p
TopologySpreadConstraint MaxSkew::i TopologyKey::s WhenUnsatisfiable::s LabelSelector::p MinDomains::p NodeAffinityPolicy::p NodeTaintsPolicy::p MatchLabelKeys::l
TypedLocalObjectReference APIGroup:apiGroup:p Kind::s Name::s
TypedObjectReference APIGroup:apiGroup:p Kind::s Name::s Namespace::p
Volume Name::s HostPath::*HostPathVolumeSource EmptyDir::*EmptyDirVolumeSource GCEPersistentDisk:gcePersistentDisk:*GCEPersistentDiskVolumeSource AWSElasticBlockStore:awsElasticBlockStore:*AWSElasticBlockStoreVolumeSource GitRepo::*GitRepoVolumeSource Secret::*SecretVolumeSource NFS:nfs:*NFSVolumeSource ISCSI:iscsi:*ISCSIVolumeSource Glusterfs::*GlusterfsVolumeSource PersistentVolumeClaim::*PersistentVolumeClaimVolumeSource RBD:rbd:*RBDVolumeSource Quobyte::*QuobyteVolumeSource FlexVolume::*FlexVolumeSource Cinder::*CinderVolumeSource CephFS:cephfs:*CephFSVolumeSource Flocker::*FlockerVolumeSource DownwardAPI::*DownwardAPIVolumeSource FC:fc:*FCVolumeSource AzureFile::*AzureFileVolumeSource ConfigMap::*ConfigMapVolumeSource VsphereVolume::*VsphereVirtualDiskVolumeSource AzureDisk::*AzureDiskVolumeSource PhotonPersistentDisk::*PhotonPersistentDiskVolumeSource Projected::*ProjectedVolumeSource PortworxVolume::*PortworxVolumeSource ScaleIO::*ScaleIOVolumeSource StorageOS:storageos:*StorageOSVolumeSource CSI:csi:*CSIVolumeSource Ephemeral::*EphemeralVolumeSource Image::*ImageVolumeSource
VolumeDevice Name::s DevicePath::s
VolumeMount Name::s ReadOnly::b RecursiveReadOnly::p MountPath::s SubPath::s MountPropagation::p SubPathExpr::s
VolumeProjection Secret::*SecretProjection DownwardAPI::*DownwardAPIProjection ConfigMap::*ConfigMapProjection ServiceAccountToken::*ServiceAccountTokenProjection ClusterTrustBundle::*ClusterTrustBundleProjection PodCertificate::*PodCertificateProjection
VolumeResourceRequirements Limits::m Requests::m
VsphereVirtualDiskVolumeSource VolumePath::s FSType:fsType:s StoragePolicyName::s StoragePolicyID::s
WeightedPodAffinityTerm Weight::i PodAffinityTerm::PodAffinityTerm
WindowsSecurityContextOptions GMSACredentialSpecName:gmsaCredentialSpecName:p GMSACredentialSpec:gmsaCredentialSpec:p RunAsUserName::p HostProcess::p
"""
