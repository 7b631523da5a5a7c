import sys,time,json,orjson
sys.path.insert(0,sys.argv[1])
import importlib.util
sys.argv=['x','--server','']
src=open('/work/shared/bench/apibench.py').read().split('if __name__')[0]
ns={};exec(src,ns)
class A: pass
b=ns['Bench'].__new__(ns['Bench']); b.ns='default'
pod=b.pod('web-1')
from pylet.api import kinds,schema
from pylet.api.wire import decode
from pylet.api.patch import typed,apply,managed,shape
K=kinds.by_kind('','v1','Pod')
raw=orjson.dumps(pod)
def t(name,f,n=300):
    best=1e9
    for _ in range(15):
        s=time.process_time()
        for _ in range(n): f()
        best=min(best,(time.process_time()-s)/n)
    print(f'{name:30} {best*1e6:8.1f} us')
def canon():
    o=orjson.loads(raw); decode.canonicalize(K,o); return o
def whole():
    o=canon(); schema.default_kind(K,o); return o
o=whole(); S=shape.of(K.definition)
big=orjson.dumps(o)
t('loads',lambda: orjson.loads(raw))
t('loads defaulted',lambda: orjson.loads(big))
t('canon',canon)
t('canon+default',whole)
t('compare',lambda: typed.compare({},o,S))
c=typed.compare({},o,S)
t('stripped',lambda: managed.stripped(c.touched))
t('validate',lambda: K.strategy.validate(o))
from pylet.api.patch.typed import element_of,_elements
SC=S.child('spec').child('containers'); c0=o['spec']['containers'][0]
t('element_of container',lambda: element_of(c0,SC),20000)
E=SC.item.child('env'); t('_elements env 7',lambda: _elements(c0['env'],E),20000)
P=SC.item.child('ports'); t('_elements ports 1',lambda: _elements(c0['ports'],P),20000)
t('child',lambda: SC.item.child('env'),20000)
t('ordered', lambda: managed.ordered(c.touched))
t('touched', lambda: c.touched)
from pylet.server.registry.request import Request, User
from pylet.api.object import Key
from pylet.server.admission.interface import Attributes
from pylet.server.auth import attributes as aa
from pylet.server.http.request_info import request_info
from pylet.server.http import options
R=lambda: Request(verb='create',kind=K,key=Key('a','b'),subresource='',user=User('x'),dry_run=False,field_manager='x',stated_manager='',force=False,field_validation='',size=1000,annotations={})
r=R(); u=User('x')
t('Request',R)
t('Attributes',lambda: Attributes(operation='CREATE',kind=K,key=r.key,name='a',subresource='',user=u,obj=o,old=None,table=None,now=None,own=None,dry_run=False,warnings=r.warnings,request=r,deleting=None,named='x'))
t('auth attrs',lambda: aa.Attributes(u,'create','','v1','pods','','ns','name',fields='',labels=''))
t('request_info',lambda: request_info('POST','/api/v1/namespaces/abc/pods',{}))
t('of_write',lambda: options.of_write('create',options.NONE,'bench.py',applies=False))
import copy
c2=orjson.loads(orjson.dumps(o))
t('spec eq',lambda: c2['spec']==o['spec'])
t('default whole again',lambda: schema.default_kind(K,c2))
