{{/*
The names are fixed and not the release's: the operator looks for them, and a cluster has one featward.
*/}}

{{- /* Labels of an object. Takes (list root component [instance]). */ -}}
{{- define "featward.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: featward
{{ include "featward.selector" . }}
{{- end }}

{{- /* What selects the pods of a part: never changes. Takes (list root component [instance]). */ -}}
{{- define "featward.selector" -}}
app.kubernetes.io/name: featward
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/instance: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}{{ index . 1 }}{{ end }}
{{- end }}

{{- define "featward.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* An environment with the defaults filled in, as JSON. Takes (list root environment). */ -}}
{{- define "featward.environment" -}}
{{- mergeOverwrite (deepCopy (index . 0).Values.environmentDefaults) (index . 1) | toJson -}}
{{- end }}

{{- /* Where an environment's CA is reached. Takes (list root environment), the latter with its defaults. */ -}}
{{- define "featward.caAddress" -}}
{{- $root := index . 0 -}}
{{- $environment := index . 1 -}}
{{- $environment.ca.address | default (printf "featward-ca-%s.%s.svc.%s:8443" $environment.name $root.Release.Namespace $root.Values.clusterDomain) -}}
{{- end }}

{{- /* The business unit of a namespace without a label: that of the only environment, else none. */ -}}
{{- define "featward.defaultBusinessUnit" -}}
{{- if .Values.admission.defaultBusinessUnit -}}
{{ .Values.admission.defaultBusinessUnit }}
{{- else if eq (len .Values.environments) 1 -}}
{{ (index .Values.environments 0).name }}.default
{{- end -}}
{{- end }}

{{- /* Of a pod: what Pod Security's `restricted` asks for. fsGroup lets volumes be written to. */ -}}
{{- define "featward.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "featward.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Spread over nodes and zones where there are several. Takes (list root component [instance]). */ -}}
{{- define "featward.spread" -}}
{{- $what := . -}}
{{- range tuple "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "featward.selector" $what | nindent 6 }}
{{- end }}
{{- end }}
