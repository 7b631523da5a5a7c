"""The story with PyPI's `lightkube`, server-side apply included."""

import sys

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.models.core_v1 import ServicePort, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Namespace, Service

client = Client(config=KubeConfig.from_file(sys.argv[1]), namespace="story", field_manager="story")
client.create(Namespace(metadata=ObjectMeta(name="story")))
wanted = ConfigMap(metadata=ObjectMeta(name="c"), data={"a": "1"}, apiVersion="v1", kind="ConfigMap")
applied = client.apply(wanted)
assert applied.metadata.managedFields[0].manager == "story"
wanted.data = {"b": "2"}
assert client.apply(wanted).data == {"b": "2"}, "what is no longer applied goes"
other = ConfigMap(metadata=ObjectMeta(name="c"), data={"b": "3"}, apiVersion="v1", kind="ConfigMap")
with pytest.raises(ApiError, match=r'conflict with "story": .data.b') as refused:
    client.apply(other, field_manager="other")
assert refused.value.status.code == 409
ports = [ServicePort(port=80, targetPort=8080)]
service = client.create(Service(metadata=ObjectMeta(name="s"), spec=ServiceSpec(ports=ports, selector={"a": "b"})))
assert service.spec.clusterIP.count(".") == 3
assert [found.metadata.name for found in client.list(Service)] == ["s"]
client.delete(Service, "s")
client.delete(Namespace, "story")
print("done")
