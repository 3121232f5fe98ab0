{{- define "devops-agent.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "devops-agent.account" -}}
{{- default (include "devops-agent.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "devops-agent.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "devops-agent.pod" -}}
serviceAccountName: {{ include "devops-agent.account" . }}
automountServiceAccountToken: {{ gt (len .Values.serviceAccount.rules) 0 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "devops-agent.container" -}}
image: "{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  {{- if .Values.inventory }}
  - {name: DEVOPS_AGENT_INVENTORY, value: /place/inventory}
  {{- end }}
  {{- if .Values.policy }}
  - {name: DEVOPS_AGENT_POLICY, value: /place/policy/policy.yaml}
  {{- end }}
  {{- range $name, $value := .Values.environment }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
{{- if .Values.environmentSecret }}
envFrom:
  - secretRef: {name: {{ .Values.environmentSecret }}}
{{- end }}
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{- define "devops-agent.mounts" -}}
- {name: temporary, mountPath: /tmp}
{{- if .Values.inventory }}
- {name: inventory, mountPath: /place/inventory, readOnly: true}
{{- end }}
{{- if .Values.policy }}
- {name: policy, mountPath: /place/policy, readOnly: true}
{{- end }}
{{- end -}}

{{- define "devops-agent.volumes" -}}
- {name: temporary, emptyDir: {}}
{{- if .Values.inventory }}
- name: inventory
  configMap: {name: {{ include "devops-agent.name" . }}-inventory}
{{- end }}
{{- if .Values.policy }}
- name: policy
  configMap: {name: {{ include "devops-agent.name" . }}-policy}
{{- end }}
{{- end -}}
