{{/*
The environment of a container. `secrets`: which of webhook, opsToken, privacyKey and aftershipApiKey it gets, those that
are named; `places`: which of queue, lake, warehouse and retail. Secrets are files, and so is the warehouse's address, which
has a password in it: they are in no environment that a child, a dump or `kubectl exec … env` could show.
*/}}
{{- define "waybill.env" -}}
{{- $values := .root.Values -}}
{{- $files := include "waybill.secretFiles" . | fromYaml -}}
- name: WAYBILL_LOG
  value: {{ $values.log | quote }}
{{- range $setting, $value := $values.settings }}
- name: WAYBILL_{{ upper $setting }}
  value: {{ include "waybill.settingText" $value | quote }}
{{- end }}
{{- if .isRunning }}
- name: WAYBILL_OPS_LISTEN
  value: {{ printf "%s:8081" $values.bindAddress | quote }}
{{- end }}
{{- if .isPublic }}
- name: WAYBILL_LISTEN
  value: {{ printf "%s:8080" $values.bindAddress | quote }}
{{- end }}
{{- range $secret, $file := $files }}
- name: {{ $file.env }}
  value: {{ $file.path }}
{{- end }}
{{- if has "queue" .places }}
- name: WAYBILL_QUEUE
  value: {{ $values.queue.url | quote }}
{{- with $values.queue.deadLetters }}
- name: WAYBILL_DEAD_LETTERS
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- if has "lake" .places }}
- name: WAYBILL_LAKE
  value: {{ $values.lake.address | quote }}
{{- end }}
{{- if and (has "retail" .places) $values.retail.address }}
- name: WAYBILL_RETAIL
  value: {{ $values.retail.address | quote }}
{{- end }}
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with $values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whole numbers come as floating ones, and `on` as true. */}}
{{- define "waybill.settingText" -}}
{{- if kindIs "bool" . -}}
{{- ternary "on" "off" . -}}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/*
By secret: its variable, its file, and where it comes from. Only those that are wanted and named; the warehouse's address for
who has that place.
*/}}
{{- define "waybill.secretFiles" -}}
{{- $variables := dict "webhook" "WAYBILL_WEBHOOK_SECRETS_FILE" "opsToken" "WAYBILL_OPS_TOKEN_FILE" "privacyKey" "WAYBILL_PRIVACY_KEY_FILE" "aftershipApiKey" "WAYBILL_AFTERSHIP_API_KEY_FILE" "warehouse" "WAYBILL_WAREHOUSE_FILE" -}}
{{- $wanted := dict -}}
{{- range $secret := .secrets -}}
{{- $_ := set $wanted $secret (get $.root.Values.secrets $secret) -}}
{{- end -}}
{{- if has "warehouse" .places -}}
{{- $_ := set $wanted "warehouse" (dict "name" .root.Values.warehouse.secretName "key" .root.Values.warehouse.secretKey) -}}
{{- end -}}
{{- range $secret, $named := $wanted }}
{{- if $named.name }}
{{ $secret }}:
  env: {{ get $variables $secret }}
  path: /etc/waybill/secrets/{{ kebabcase $secret }}/{{ $named.key }}
  folder: /etc/waybill/secrets/{{ kebabcase $secret }}
  volume: {{ kebabcase $secret }}
  name: {{ $named.name }}
  key: {{ $named.key }}
{{- end }}
{{- end }}
{{- end -}}
