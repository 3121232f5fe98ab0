# ruff: noqa: E501  expressions are easier to compare on one line each
"""Tokens that their own form gives away, after their vendors' documentation.

Each line: what a lower-cased text must hold, one of these strings, for the form behind it to occur at all.
"""

from __future__ import annotations

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

_CLOUDS = r"""
akia,asia,aroa,aida,abia,acca   (?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}
absk,bedrock-api-key-           (?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{90,1000}={0,2}
aiza                            AIza[\w-]{35}
ya29.                           ya29\.[\w-]{20,2000}
gocspx-                         GOCSPX-[\w-]{28}
1//0                            1//0[\w-]{30,200}
q~                              [\w~.]{3}[0-9]Q~[\w~.-]{31,34}
_v1_                            do[opr]_v1_[a-f0-9]{64}
hrku-                           HRKU-[\w-]{36,70}
cfut_                           cfut_\w{40,60}
v1.0-                           v1\.0-[a-f0-9]{24}-[a-f0-9]{146}
ltai                            LTAI[A-Za-z0-9]{12,24}
t1.                             t1\.[A-Z0-9a-z_-]+\.[A-Za-z0-9_-]{86}
aqvn                            AQVN[\w-]{35,38}
nfp_                            nfp_[A-Za-z0-9]{36}
fo1_,fm1,fm2                    fo1_[\w-]{43}|fm[12][ar]?_[A-Za-z0-9+/=]{60,2000}
vcp_,vck_,vcr_,vca_,vci_        vc[pkrai]_\w{24,80}
rnd_                            rnd_[A-Za-z0-9]{28,40}
sbp_,sb_secret_                 sbp_[a-f0-9]{40}|sb_secret_[\w-]{30,60}
napi_                           napi_[a-z0-9]{48,80}
pscale_                         pscale_(?:tkn|pw|oauth)_[\w.=-]{32,64}
sha256~                         sha256~[\w-]{43}
age-secret                      AGE-SECRET-KEY-1[A-Z0-9]{58}
tskey-                          tskey-[a-z]+-[\w-]{20,80}
hvs.,hvb.,hvr.                  hv[sbr]\.[\w-]{20,300}
atlasv1                         [A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,80}
dp.                             dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{40,70}
pul-                            pul-[a-f0-9]{40}
ico-                            ico-(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32}
ops_eyj                         ops_eyJ[\w+/=-]{100,4000}
a3-                             A3-[A-Z0-9]{6}-[A-Z0-9]{6,11}(?:-[A-Z0-9]{5,6}){3,4}
"""

_BUILDS = r"""
ghp_,gho_,ghu_,ghs_,ghr_        gh[pousr]_[A-Za-z0-9]{30,255}
github_pat                      github_pat_\w{40,255}
dak_                            dak_[0-9a-f]{12}_[\w-]{40,60}
glpat-,glptt-,gldt-,glrt-,glrtr-,glcbt-,glft-,glimt-,glagent-,glwt-,glsoat-,glffct-,gloas-   gl(?:pat|ptt|dt|rtr?|cbt|ft|imt|agent|wt|soat|ffct|oas)-[\w-]{20,300}(?:\.[0-9a-z]{2}(?:\.[0-9a-z]{7,9}|[0-9a-z]{7}))?
gr1348941                       GR1348941[\w-]{20}
atbb,atatt3,atctt3              ATBB[A-Za-z0-9]{28,40}|AT(?:ATT|CTT)3[\w=-]{60,300}
ccipat_,ccipr                   CCIP(?:AT|RJ)_\w{20,80}
bkua_,bkaa_,bkaj_,bkct_,bkpa_   bk(?:u|a|c|p)[atj]_[A-Za-z0-9]{36,120}
squ_,sqp_,sqa_                  sq[upa]_[a-f0-9]{40}
api-                            API-(?=[A-Z]*[0-9])[A-Z0-9]{26}
pat.,sat.                       [ps]at\.[\w-]{22}\.[a-f0-9]{24}\.[A-Za-z0-9]{20}
akcp,cmvmd                      AKCp[A-Za-z0-9]{60,80}|cmVmd(?=[A-Za-z]*[0-9])[A-Za-z0-9]{45,70}
sgp_                            sgp_(?:(?:[a-f0-9]{16}|local)_)?[a-f0-9]{40}
npm_                            npm_[A-Za-z0-9]{36}
pypi-                           pypi-[A-Za-z0-9_-]{50,300}
rubygems_                       rubygems_[a-f0-9]{48}
oy2                             oy2[a-z0-9]{43}
cio                             cio(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32}
clojars_                        (?:CLOJARS|clojars)_[a-f0-9]{60}
dckr_                           dckr_(?:pat|oat)_[\w-]{20,60}
tk-                             tk-UUID-UUID|tk-us-[\w-]{48}
ls0tls1crudjti                  LS0tLS1CRUdJTi(?!BDRVJU)[A-Za-z0-9+/]{20,8000}={0,2}
eyj0exaioiaivenwmij9            eyJ0eXAiOiAiVENWMiJ9\.[\w.-]{20,200}
"""

_SERVICES = r"""
xox                             (?:xoxe\.)?xox[a-eoprs]-[\w%-]{10,400}
xapp                            xapp-\d-[A-Z0-9]+-\d+-[a-f0-9]+
sk-                             sk-(?:proj-|ant-[a-z0-9]+-|or-v1-|svcacct-|admin-)?[A-Za-z0-9_-]{20,200}
sk_,rk_,pk_                     (?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{16,200}|pk_\d{6,10}_[A-Z0-9]{32}
whsec_                          whsec_[A-Za-z0-9+/=]{20,80}
hf_,api_org_                    hf_[A-Za-z0-9]{30,60}|api_org_[A-Za-z0-9]{34}
r8_,gsk_,fw_                    r8_[A-Za-z0-9]{37}|gsk_[A-Za-z0-9]{40,60}|fw_(?=[A-Za-z]*[0-9])[A-Za-z0-9]{22,24}
pplx-,xai-,csk-,nvapi-,tvly-    (?:pplx|xai|csk|nvapi|tvly)-(?=[A-Za-z_-]*[0-9])[\w-]{30,100}
lsv2_                           lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}
dapi                            dapi[a-f0-9]{32}(?:-\d)?
sg.                             SG\.[\w-]{16,32}\.[\w-]{32,64}
key-                            key-[a-f0-9]{32}
re_                             re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,40}
:aa                             \d{8,10}:AA[\w-]{33}
:apa91b                         AAAA[\w-]{7}:APA91b[\w-]{120,160}
shpat_,shpca_,shppa_,shpss_     shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}
sq0,eaa                         sq0(?:atp|csp|idp)-[\w-]{22,43}|EAA[A-Z][\w-]{58,400}
lin_                            lin_(?:api|oauth)_[A-Za-z0-9]{32,64}
nrak-,nrjs-,nrii-,nrra-,nriq-,nral   NR(?:AK|II|RA|IQ|SP)-[\w-]{27,45}|NRJS-[a-f0-9]{19}|[a-f0-9]{36}(?:FF)?NRAL
glsa_,glc_,eyjrijoi             gl(?:sa|c)_[A-Za-z0-9+/_=]{32,400}|eyJrIjoi[A-Za-z0-9+/]{60,400}={0,2}
sntry                           sntry[su]_[\w+/=-]{40,400}
pmak-                           PMAK-[a-f0-9]{24}-[a-f0-9]{34}
figd_,ntn_,secret_              figd_[\w-]{40}|ntn_[A-Za-z0-9]{40,60}|secret_[A-Za-z0-9]{43}
eztk,ezak                       EZ[AT]K[A-Za-z0-9]{54}
xkeysib-                        xkeysib-[a-f0-9]{64}-\w{16}
dt0                             dt0[a-z]\d\d\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}
sl.                             sl\.(?:u\.)?(?=[A-Za-z_-]*[0-9])[\w-]{120,1500}
aaaaaaaaaaaaaaaaaaaaaa          A{22}(?=[A-Za-z]*[0-9%])[A-Za-z0-9%]{80,100}
sdk-,mob-,api-                  (?:sdk|mob|api)-UUID
access-                         access-(?:sandbox|development|production)-UUID
access_token$                   access_token\$\w{3,20}\$[a-z0-9]{16}\$[a-f0-9]{32}
shippo_,duffel_,rdme_,tfp_      shippo_(?:live|test)_[a-f0-9]{40}|duffel_(?:test|live)_[\w=-]{43}|rdme_[a-z0-9]{70}|tfp_[\w.=-]{59}
pnu_,phc_,phx_,patp_            pnu_[A-Za-z0-9]{36}|ph[cx]_[A-Za-z0-9]{40,50}|patp_[A-Za-z0-9]{30}
rzp_,flwseck                    rzp_(?:live|test)_[A-Za-z0-9]{14}|FLWSECK(?:_TEST)?-[a-f0-9]{12,32}(?:-X)?
cfpat-,pdl_,dnkey-,p8e-         CFPAT-[\w-]{43}|pdl_(?:live|sdbx)_apikey_\w{26,80}|dnkey-[\w=-]{26}-[\w=-]{52}|p8e-[a-z0-9]{32}
$2,$1$,$5$,$6$,$y$,$apr1$,$argon2      \$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}|\$[156y]\$[^\s$:'"]{1,40}\$[./A-Za-z0-9$]{20,110}|\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|\$argon2(?:id|i|d)\$[\w=,$+/.-]{40,200}
"""

_VAGUE = (
    r"(?:AC|SK)[a-f0-9]{32}|[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,40}|[a-f0-9]{32}-us\d{1,2}"
    r"|pat[A-Za-z0-9]{14}\.[a-f0-9]{64}|[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}|2/\d{16}/\d{16}:[a-f0-9]{32}"
)

_LINES = [
    line.split(None, 1) for line in f"{_CLOUDS}{_BUILDS}{_SERVICES}".replace("UUID", _UUID).splitlines() if line.strip()
]
_START = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2}))"

SIGNS: tuple[str, ...] = tuple(dict.fromkeys(sign for signs, _ in _LINES for sign in signs.split(",")))
"""A lower-cased text with none of these holds no `TOKEN`."""
TOKEN = _START + "(?:" + "|".join(form.strip() for _, form in _LINES) + ")(?![A-Za-z0-9])"
VAGUE = r"(?:(?<![A-Za-z0-9_/-])|(?<=%[0-9A-Fa-f]{2}))(?:" + _VAGUE + r")(?![A-Za-z0-9])"
"""Tokens whose form begins with nothing of its own."""
