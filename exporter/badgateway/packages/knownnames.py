"""Distributions whose import name does not follow from their name.

Only well-known ones, for a package that was never seen installed: what is installed, declared
or remembered says more.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_TABLE: Final = """
Crypto pycryptodome
Cryptodome pycryptodomex
Levenshtein levenshtein python-levenshtein
MySQLdb mysqlclient
OpenSSL pyopenssl
PIL pillow
Xlib python-xlib
_cffi_backend cffi
_yaml pyyaml
allauth django-allauth
apiclient google-api-python-client
attr attrs
barcode python-barcode
bs4 beautifulsoup4
consul python-consul
corsheaders django-cors-headers
crispy_forms django-crispy-forms
cv2 opencv-python opencv-python-headless opencv-contrib-python
cx_Oracle cx-oracle
dateutil python-dateutil
debug_toolbar django-debug-toolbar
decouple python-decouple
discord discord-py
django_filters django-filter
dns dnspython
docx python-docx
dotenv python-dotenv
engineio python-engineio
environ django-environ
faiss faiss-cpu faiss-gpu
fitz pymupdf
flask_jwt_extended flask-jwt-extended
gi pygobject
git gitpython
github pygithub
gitlab python-gitlab
google.auth google-auth
google.cloud.bigquery google-cloud-bigquery
google.cloud.pubsub google-cloud-pubsub
google.cloud.storage google-cloud-storage
google.protobuf protobuf
googleapiclient google-api-python-client
grpc grpcio
grpc_health grpcio-health-checking
grpc_reflection grpcio-reflection
guardian django-guardian
import_export django-import-export
jose python-jose
jwt pyjwt
kazoo kazoo
keycloak python-keycloak
knox django-rest-knox
ldap python-ldap
llama_cpp llama-cpp-python
magic python-magic
memcache python-memcached
mpl_toolkits matplotlib
multipart python-multipart
nacl pynacl
nmap python-nmap
oauth2_provider django-oauth-toolkit
opentelemetry.sdk opentelemetry-sdk
opentelemetry opentelemetry-api
pkg_resources setuptools
pptx python-pptx
psycopg2 psycopg2-binary psycopg2
pylab matplotlib
python_multipart python-multipart
pythonjsonlogger python-json-logger
rest_framework djangorestframework
rest_framework_simplejwt djangorestframework-simplejwt
ruamel.yaml ruamel-yaml
serial pyserial
sentry_sdk sentry-sdk
silk django-silk
simple_history django-simple-history
skimage scikit-image
sklearn scikit-learn
slugify python-slugify
snappy python-snappy
socketio python-socketio
socks pysocks
storages django-storages
systemd systemd-python
taggit django-taggit
telegram python-telegram-bot
usb pyusb
uvicorn_worker uvicorn-worker
waffle django-waffle
websocket websocket-client
whois python-whois
win32api pywin32
wx wxpython
yaml pyyaml
zmq pyzmq
"""

CANDIDATES: Final = MappingProxyType(
    {words[0]: tuple(words[1:]) for words in map(str.split, _TABLE.strip().splitlines())}
)
"""Import name → distributions that provide it, canonical, the usual one first."""
