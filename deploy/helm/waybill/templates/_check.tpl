{{/*
What types cannot say: all faults at once, each with how to mend it, as the program does it with its settings. Included
by service.yaml, which is always rendered.
*/}}
{{- define "waybill.check" -}}
{{- $faults := list -}}
{{- $values := .Values -}}
{{- $isSingle := eq $values.mode "single" -}}
{{- if not $values.secrets.webhook.name -}}
{{- $faults = append $faults "secrets.webhook.name: name the Secret with AfterShip's webhook secrets" -}}
{{- end -}}
{{- if not $values.secrets.opsToken.name -}}
{{- $faults = append $faults "secrets.opsToken.name: name the Secret with the bearer token; the operators' listener is not loopback in a pod, so the program wants one" -}}
{{- end -}}
{{- if and (eq (toString $values.settings.privacy) "hash") (not $values.secrets.privacyKey.name) -}}
{{- $faults = append $faults "secrets.privacyKey.name: needed with settings.privacy: hash" -}}
{{- end -}}
{{- range $variable := $values.extraEnv -}}
{{- if hasPrefix "WAYBILL_" $variable.name -}}
{{- $faults = append $faults (printf "extraEnv: %s: settings of the program stand below `settings`, secrets below `secrets`" $variable.name) -}}
{{- else if and $variable.value (regexMatch "SECRET|PASSWORD|TOKEN$|CREDENTIAL" (upper $variable.name)) -}}
{{- $faults = append $faults (printf "extraEnv: %s: looks like a secret; give valueFrom.secretKeyRef instead of a value" $variable.name) -}}
{{- end -}}
{{- end -}}
{{- if $isSingle -}}
{{- range $name, $given := dict "queue.url" $values.queue.url "queue.deadLetters" $values.queue.deadLetters "lake.address" $values.lake.address "warehouse.secretName" $values.warehouse.secretName -}}
{{- if $given -}}
{{- $faults = append $faults (printf "%s: in mode single the places are on the pod's volume; take it away, or set mode: split" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $given := dict "poll.enabled" $values.poll.enabled "reconcile.enabled" $values.reconcile.enabled "migrate.job" $values.migrate.job "receive.spool.enabled" $values.receive.spool.enabled -}}
{{- if $given -}}
{{- $faults = append $faults (printf "%s: is for mode split; deploy/helm/README.md says how it is done in one pod" $name) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- range $name, $given := dict "queue.url: give the URL of the SQS queue" $values.queue.url "lake.address: give s3://bucket/prefix" $values.lake.address "warehouse.secretName: name the Secret with the warehouse's address" $values.warehouse.secretName -}}
{{- if not $given -}}
{{- $faults = append $faults $name -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.warehouse.kind "redshift") (not $values.settings.redshift_staging) -}}
{{- $faults = append $faults "settings.redshift_staging: give s3://bucket/prefix, where rows wait for Redshift's COPY" -}}
{{- end -}}
{{- if and (or $values.poll.enabled $values.reconcile.heal) (not $values.secrets.aftershipApiKey.name) -}}
{{- $faults = append $faults "secrets.aftershipApiKey.name: poll.enabled and reconcile.heal ask AfterShip's REST API" -}}
{{- end -}}
{{- if eq $values.canary "on" -}}
{{- $faults = append $faults "canary: in mode split give the URL of the public door; `on` is for mode single" -}}
{{- end -}}
{{- if and $values.receive.spool.enabled $values.receive.autoscaling.enabled -}}
{{- $faults = append $faults "receive.autoscaling.enabled: turn it off with a spool; a replica that is scaled away would leave acknowledged events on its volume" -}}
{{- end -}}
{{- if gt (int $values.receive.autoscaling.minReplicas) (int $values.receive.autoscaling.maxReplicas) -}}
{{- $faults = append $faults "receive.autoscaling.minReplicas: is above maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- range $component := include "waybill.components" . | fromJsonArray -}}
{{- $account := (get $values (ternary "single" $component (eq $component "up"))).serviceAccount -}}
{{- if and (not $account.create) (not $account.name) -}}
{{- $faults = append $faults (printf "%s.serviceAccount.name: name an existing one, or leave create on" (ternary "single" $component (eq $component "up"))) -}}
{{- end -}}
{{- end -}}
{{- with $values.networkPolicy -}}
{{- if .enabled -}}
{{- if not .publicFrom -}}
{{- $faults = append $faults "networkPolicy.publicFrom: name who may reach the webhook's port, such as your ingress controller's namespace, or set networkPolicy.enabled=false" -}}
{{- end -}}
{{- if and $values.monitoring.serviceMonitor.enabled (not .prometheusFrom) -}}
{{- $faults = append $faults "networkPolicy.prometheusFrom: name your Prometheus, or nothing can be scraped" -}}
{{- end -}}
{{- if and (not $isSingle) (not .warehouseTo) -}}
{{- $faults = append $faults "networkPolicy.warehouseTo: name where the warehouse is, or nothing can be loaded" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $values.ingress.enabled -}}
{{- if not $values.ingress.host -}}
{{- $faults = append $faults "ingress.host: give the host that AfterShip is given" -}}
{{- end -}}
{{- if and (not $values.ingress.tlsSecretName) (not $values.ingress.tlsElsewhere) -}}
{{- $faults = append $faults "ingress.tlsSecretName: name the Secret with the certificate, or set ingress.tlsElsewhere=true" -}}
{{- end -}}
{{- end -}}
{{- $least := add $values.shutdown.preStopSeconds 25 5 -}}
{{- if lt (int $values.shutdown.graceSeconds) (int $least) -}}
{{- $faults = append $faults (printf "shutdown.graceSeconds: at least %d: preStopSeconds, the 25 s of a drain, and 5 s" $least) -}}
{{- end -}}
{{- if not (hasPrefix "waybill" (include "waybill.job" .)) -}}
{{- $faults = append $faults "monitoring.serviceMonitor.job: must begin with `waybill`, since the alerts look for it" -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n\nthe values cannot be used:\n- %s\n" (join "\n- " $faults)) -}}
{{- end -}}
{{- end -}}

{{/* What this release has of its own, as a JSON list. */}}
{{- define "waybill.components" -}}
{{- $components := list "receive" "batch" "load" -}}
{{- if eq .Values.mode "single" -}}
{{- $components = list "up" -}}
{{- else -}}
{{- range $component := list "poll" "audit" "reconcile" -}}
{{- if (get $.Values $component).enabled -}}
{{- $components = append $components $component -}}
{{- end -}}
{{- end -}}
{{- if .Values.migrate.job -}}
{{- $components = append $components "migrate" -}}
{{- end -}}
{{- end -}}
{{- toJson $components -}}
{{- end -}}
