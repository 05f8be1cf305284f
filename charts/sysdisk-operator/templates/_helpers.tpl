{{- define "sysdisk.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sysdisk.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sysdisk.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of a cluster-wide object: two releases in two namespaces do not meet. */}}
{{- define "sysdisk.clusterName" -}}
{{- $full := include "sysdisk.fullname" . -}}
{{- if eq $full .Release.Namespace -}}
{{- $full -}}
{{- else -}}
{{- printf "%s:%s" .Release.Namespace $full -}}
{{- end -}}
{{- end -}}

{{- define "sysdisk.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sysdisk.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "sysdisk.labels" -}}
{{ include "sysdisk.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/part-of: sysdisk
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") | quote }}
{{- end -}}

{{- define "sysdisk.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sysdisk.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount to use, or set serviceAccount.create" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "sysdisk.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the operator does in a namespace that it watches. */}}
{{- define "sysdisk.rules.specs" -}}
- apiGroups: [sysdisk.dev]
  resources: [systemdiskspecs]
  verbs: [get, list, watch, patch]
- apiGroups: [sysdisk.dev]
  resources: [systemdiskspecs/status]
  verbs: [patch]
# The labels that an EcsAccount's allowedNamespaces.selector asks for.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{ include "sysdisk.rules.events" . }}
{{- end -}}

{{- define "sysdisk.rules.events" -}}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* Secrets are read by name, one at a time: no list, no watch. */}}
{{- define "sysdisk.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end -}}

{{/* A creation has no name that RBAC could look at. */}}
{{- define "sysdisk.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [sysdisk-operator]
  verbs: [get, update]
{{- end -}}

{{- define "sysdisk.subjects" -}}
- kind: ServiceAccount
  name: {{ include "sysdisk.serviceAccountName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{/* A Role and its RoleBinding; takes a dict of root, namespace, suffix and rules (text). */}}
{{- define "sysdisk.namespacedRole" -}}
{{- $name := printf "%s-%s" (include "sysdisk.clusterName" .root) .suffix -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name | quote }}
  namespace: {{ .namespace | quote }}
  labels:
    {{- include "sysdisk.labels" .root | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name | quote }}
  namespace: {{ .namespace | quote }}
  labels:
    {{- include "sysdisk.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name | quote }}
subjects:
  {{- include "sysdisk.subjects" .root | nindent 2 }}
{{ end -}}

{{/* A CEL list of who may write status. */}}
{{- define "sysdisk.statusWriters" -}}
{{- $operator := printf "system:serviceaccount:%s:%s" .Release.Namespace (include "sysdisk.serviceAccountName" .) -}}
{{- prepend .Values.policies.statusWriters $operator | toJson -}}
{{- end -}}
