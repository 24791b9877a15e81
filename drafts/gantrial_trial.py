import sys, time, json, torch, warnings
from pathlib import Path

from colorkit.models import UNet, PatchCritic, WholeCritic
from colorkit.training.adversarial import *
from colorkit.training.fit import fit
from colorkit.training.objectives import Regression
from colorkit.training.batches import TensorBatches, in_order
from colorkit.losses import l2
from colorkit.data.worlds import orchard
from colorkit.objects import object_colors
from colorkit.metrics import auc, colorfulness
from colorkit.color import lab_to_rgb, join_lab
torch.set_num_threads(1)
A=dict(size=32,n=2000,held=300,seed=0,pre=1000,steps=1500,lr=5e-4,clr=5e-4,lam=0.1,pixel="l1",loss="cross-entropy",width=32,field=16,sn=0,schedule="nogan",pc=1,smooth=0.0,beta1=0.5,opt="constant",sees="Lab",tag="",log=25,k=2,baseonly=0,pt=0)
for a in sys.argv[1:]:
    k,v=a.split("="); A[k]=type(A[k])(v)
a=type("A",(),A)
def world(n,seed):
    return orchard(n,a.size,seed)
def score(net,w,objs=True):
    net.eval()
    ab=torch.cat([net.colorize(L) for L in w.L.split(100)])
    o=object_colors(w,{"m":net})
    s=o.nearest("m")[1]
    scored=w.scored if hasattr(w,"scored") else None
    possible=(s<10).float().mean().item()
    oracle=(o.nearest("oracle")[1]<10).float().mean().item()
    truth=(o.nearest("truth")[1]<10).float().mean().item()
    chroma=o.ab["m"].norm(dim=1).mean().item()
    return dict(auc=round(100*auc(ab,w.ab).mean().item(),2),possible=round(100*possible,1),oracle=round(100*oracle,1),dist=round(s.mean().item(),1),chroma=round(chroma,1),truec=round(o.ab["truth"].norm(dim=1).mean().item(),1),n=len(o))
held=world(a.held,10_001)
train=world(a.n,a.seed)
data=TensorBatches((train.L,train.ab),16,seed=a.seed)
def new():
    torch.manual_seed(a.seed); return UNet(16,3)
cache=Path(f"/tmp/gantrial/l2_{a.size}_{a.n}_{a.pre}_{a.seed}.pt")
g=new()
t=time.time()
if cache.exists(): g.load_state_dict(torch.load(cache))
else:
    fit(g,Regression(l2),data,Options(steps=a.pre,lr=4e-3),callbacks=(),device="cpu"); torch.save(g.state_dict(),cache)
    print("pre seconds",time.time()-t)
full=Path(f"/tmp/gantrial/l2_{a.size}_{a.n}_{a.pre+a.steps}_{a.seed}.pt")
b=new()
if full.exists(): b.load_state_dict(torch.load(full))
else:
    t=time.time(); fit(b,Regression(l2),data,Options(steps=a.pre+a.steps,lr=4e-3),callbacks=(),device="cpu"); torch.save(b.state_dict(),full); print("full seconds",time.time()-t)
print("L2 short",score(g,held)); print("L2 full ",score(b,held),flush=True)
if a.baseonly: sys.exit()
c=PatchCritic(a.width,a.field,sees=a.sees,spectral_norm=bool(a.sn)) if a.field else WholeCritic(a.width,sees=a.sees,spectral_norm=bool(a.sn))
t=time.time()
r=fit_adversarial(g,c,data,Options(steps=a.steps,lr=a.lr,schedule=a.opt,log_every=a.log,seed=a.seed),Rules(loss=a.loss,pixel=a.pixel,lam=a.lam,schedule=a.schedule,pretrain=a.pt,pretrain_critic=a.pc,critic_lr=a.clr,smooth=a.smooth,beta1=a.beta1,k=a.k),device="cpu",callbacks=())
print("gan seconds",round(time.time()-t), {k:v for k,v in A.items()})
rows=r.history.rows
last=[x for x in rows if x["step"]>a.steps*2/3]
acc=[x.get("accuracy",0) for x in last]
m=lambda k:round(sum(x[k] for x in last if k in x)/max(1,sum(k in x for x in last)),3)
full_o=object_colors(held,{"gan":g,"l2":b})
near=lambda n:(full_o.nearest(n)[1]<10).double()
from colorkit.evaluate import paired_difference
print("interval",paired_difference(near("gan"),near("l2")))
print("GAN",score(g,held),"acc",round(min(acc),3),round(max(acc),3),"mean",m("accuracy"),"gray",m("gray"),"share",m("share"),"var",m("variety"),"adv",m("adversarial"),list(r.game.watch.warnings),flush=True)
torch.save((g.state_dict(),c.state_dict()),f"/tmp/gantrial/gan_{a.tag or 'x'}_{a.seed}.pt")
from colorkit.models.colorizer import evaluating
with torch.no_grad():
    g.eval(); c.eval(); th=r.game.gan.threshold
    t=c(held.L,held.ab); f=c(held.L,torch.cat([g(L) for L in held.L.split(100)])); z=c(held.L,0*held.ab)
    acc=lambda t,f: round((((t>th).float().mean()+(f<=th).float().mean())/2).item(),3)
    pic=lambda x:x.mean((1,2,3))
    print("held-out: patches",acc(t,f),"gray",acc(t,z),"pictures",acc(pic(t),pic(f)),"gray",acc(pic(t),pic(z)))
print(" ".join(f"{x.get('accuracy',0):.2f}" for x in rows[::max(1,len(rows)//20)]))
