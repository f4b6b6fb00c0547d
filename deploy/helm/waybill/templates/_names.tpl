{{/* Names and labels. */}}

{{- define "waybill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters leave room for what stands behind: a mover, and what a CronJob or a StatefulSet appends. */}}
{{- define "waybill.fullname" -}}
{{- $name := include "waybill.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* One installation is one job, and its name begins with `waybill`: the alerts sum by it. */}}
{{- define "waybill.job" -}}
{{- $fullname := include "waybill.fullname" . -}}
{{- if .Values.monitoring.serviceMonitor.job -}}
{{- .Values.monitoring.serviceMonitor.job -}}
{{- else if hasPrefix "waybill" $fullname -}}
{{- $fullname -}}
{{- else -}}
waybill-{{ $fullname }}
{{- end -}}
{{- end -}}

{{/* The mover that takes webhooks. */}}
{{- define "waybill.receiver" -}}
{{- ternary "up" "receive" (eq .Values.mode "single") -}}
{{- end -}}

{{- define "waybill.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What an object of the release is found by; `component` only where it is of one. */}}
{{- define "waybill.selector" -}}
app.kubernetes.io/name: {{ include "waybill.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "waybill.labels" -}}
{{ include "waybill.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "waybill.metadata" -}}
name: {{ include "waybill.fullname" .root }}{{ with .component }}-{{ . }}{{ end }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "waybill.labels" . | nindent 2 }}
{{- end -}}

{{/* `up` has its values under `single`. */}}
{{- define "waybill.valuesKey" -}}
{{- ternary "single" .component (eq .component "up") -}}
{{- end -}}

{{- define "waybill.serviceAccountName" -}}
{{- $account := (get .root.Values (include "waybill.valuesKey" .)).serviceAccount -}}
{{- if or $account.name (not $account.create) -}}
{{- $account.name -}}
{{- else -}}
{{ include "waybill.fullname" .root }}-{{ .component }}
{{- end -}}
{{- end -}}
