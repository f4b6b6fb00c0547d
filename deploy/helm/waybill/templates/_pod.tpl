{{/*
A pod's template. Takes a dict:
  root        the chart
  component   the mover: whose values and service account
  label       how the pod is labelled, when it is not that mover itself
  args        words of the command line
  isRunning   it goes on, and has the operators' listener
  isPublic    it takes webhooks
  secrets, places, env    see _env.tpl
  startSeconds    how long it may take until it answers, since a schema may be upgraded and a file be saved first
  mounts, volumes         beside those of secrets
*/}}
{{- define "waybill.pod" -}}
{{- $values := .root.Values -}}
{{- $files := include "waybill.secretFiles" . | fromYaml -}}
{{- $hasCertificates := and (has "warehouse" .places) $values.warehouse.caConfigMap -}}
metadata:
  labels:
    {{- with $values.pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "waybill.selector" (dict "root" .root "component" (default .component .label)) | nindent 4 }}
    app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
    {{- if .isRunning }}
    # The Service of the operators' port finds these alone: a Job has no such port.
    waybill/ops: "true"
    {{- end }}
  {{- with $values.pod.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "waybill.serviceAccountName" . }}
  # Nothing here asks the cluster. Roles of AWS bring a token of their own.
  automountServiceAccountToken: false
  # WAYBILL_PORT and its like are ignored by the program; so nobody makes them at all.
  enableServiceLinks: false
  {{- if .isRunning }}
  terminationGracePeriodSeconds: {{ $values.shutdown.graceSeconds }}
  {{- else }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ $values.pod.runAsUser }}
    runAsGroup: {{ $values.pod.runAsGroup }}
    # Secrets and volumes are readable by this group, so by the program.
    fsGroup: {{ $values.pod.runAsGroup }}
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.pod.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.pod.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.pod.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.pod.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and (eq .component "receive") .isRunning }}
  topologySpreadConstraints:
    {{- range $key, $unsatisfiable := dict "kubernetes.io/hostname" $values.receive.spread "topology.kubernetes.io/zone" "ScheduleAnyway" }}
    - topologyKey: {{ $key }}
      maxSkew: 1
      whenUnsatisfiable: {{ $unsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "waybill.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: waybill
      image: {{ include "waybill.image" .root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        {{- include "waybill.env" . | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources:
        {{- toYaml (get $values (include "waybill.valuesKey" .)).resources | nindent 8 }}
      {{- if .isRunning }}
      ports:
        {{- if .isPublic }}
        - name: http
          containerPort: 8080
        {{- end }}
        - name: ops
          containerPort: 8081
      # Until it answers the others do not ask: a start may upgrade the schema, or save a damaged file.
      startupProbe:
        httpGet: {path: /livez, port: ops}
        periodSeconds: 5
        failureThreshold: {{ div .startSeconds 5 }}
        timeoutSeconds: 3
      # The process turns; it depends on nothing outside, as a restart mends nothing there. A mover counts as stuck after
      # 60 s, so this restarts it after 60 to 90.
      livenessProbe:
        httpGet: {path: /livez, port: ops}
        periodSeconds: 10
        failureThreshold: 3
        timeoutSeconds: 3
      # Not ready is told 10 s after the queue's first failure by the program itself: the probe only passes it on.
      readinessProbe:
        httpGet: {path: /readyz, port: ops}
        periodSeconds: 5
        failureThreshold: 2
        timeoutSeconds: 3
      {{- if and .isPublic (gt (int $values.shutdown.preStopSeconds) 0) }}
      # A pod that is deleted goes on getting requests until every proxy knows. By the kubelet: the image has no `sleep`.
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $values.shutdown.preStopSeconds }}
      {{- end }}
      {{- end }}
      {{- if or $files .mounts $hasCertificates }}
      volumeMounts:
        {{- range $files }}
        # A folder, not a `subPath`: only so does a changed Secret reach the running program.
        - name: {{ .volume }}
          mountPath: {{ .folder }}
          readOnly: true
        {{- end }}
        {{- if $hasCertificates }}
        - name: ca
          mountPath: /etc/waybill/ca
          readOnly: true
        {{- end }}
        {{- with .mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
  {{- if or $files .volumes $hasCertificates }}
  volumes:
    {{- range $files }}
    - name: {{ .volume }}
      secret:
        secretName: {{ .name }}
        defaultMode: 0440
        items:
          - key: {{ .key }}
            path: {{ .key }}
    {{- end }}
    {{- if $hasCertificates }}
    - name: ca
      configMap:
        name: {{ $values.warehouse.caConfigMap }}
    {{- end }}
    {{- with .volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "waybill.serviceAccount" -}}
{{- $account := (get .root.Values (include "waybill.valuesKey" .)).serviceAccount -}}
{{- if $account.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "waybill.serviceAccountName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "waybill.labels" . | nindent 4 }}
  {{- with merge (dict) (default (dict) .hooks) $account.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
---
{{- end }}
{{- end -}}
