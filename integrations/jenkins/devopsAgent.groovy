// A step of a shared library: put this file into its `vars/`, report.py into its `resources/`, and write in a Jenkinsfile
//
//   post { failure { devopsAgent(url: 'https://agent.example', credentials: 'devops-agent-key') } }
//
// `log`: the failing log as a file of the workspace; without it the build's console text is read, for which
// `console` names credentials (user name and API token). It never fails the build, but for `gate: true`.
def call(Map given = [:]) {
    def variables = ["DEVOPS_AGENT_URL=${given.url ?: ''}", "DEVOPS_AGENT_LOG=${given.log ?: ''}",
                     "DEVOPS_AGENT_PLACE=${given.place ?: ''}", "DEVOPS_AGENT_WAIT=${given.wait ?: 120}",
                     "DEVOPS_AGENT_GATE=${given.gate ? 'true' : 'false'}"]
    def secrets = []
    if (given.credentials) {
        secrets << string(credentialsId: given.credentials, variable: 'DEVOPS_AGENT_KEY')
    }
    if (given.console) {
        secrets << usernameColonPassword(credentialsId: given.console, variable: 'DEVOPS_AGENT_FORGE_TOKEN')
    }
    def file = "${pwd(tmp: true)}/devops-agent-report.py"
    writeFile file: file, text: libraryResource('report.py')
    withEnv(variables + ["DEVOPS_AGENT_SCRIPT=${file}"]) {
        withCredentials(secrets) {
            def status = sh(returnStatus: true, label: 'devops_agent', script: 'python3 "$DEVOPS_AGENT_SCRIPT"')
            if (given.gate && status == 3) {
                error 'devops_agent: a person is needed'
            }
        }
    }
}
