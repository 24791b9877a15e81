import sys,torch,numpy as np,pandas as pd,time
torch.set_num_threads(1)
from colorkit.data.store import Store
from colorkit import models, bins as B
from colorkit.color import rgb_to_lab, split_lab, join_lab
from colorkit.evaluate import score_models, compare, table, paired_difference
from colorkit.losses import l2
from colorkit.course.classes import Truth
from colorkit.training.batches import TensorBatches
from colorkit.training.fit import fit
from colorkit.training.objectives import Classification, Regression
from colorkit.training.options import Options
from colorkit.models.pretrain import LabelledBatches
from torch import nn
import torch.nn.functional as F
from colorkit.device import seed_everything
STEPS=int(sys.argv[1]); W=16
s=Store("/tmp/stores/fruits"); 
def part(p):
    r=s.rows(p); return split_lab(rgb_to_lab(torch.from_numpy(s.pictures(r)))), torch.from_numpy(np.array(s.labels[r])).long()
(tr,ytr),(va,yva),(te,yte)=part("train"),part("val"),part("test")
flip=lambda pair: tuple(torch.cat([p,p.flip(-1)]) for p in pair)
tr2=flip(tr); ytr2=ytr.repeat(2)
bins=B.ab_bins(); prior=B.estimate_prior([tr],bins); w=B.rebalancing_weights(prior.p,0.5)
from torchvision.models.resnet import ResNet, BasicBlock
class Judge(nn.Module):
    def __init__(s_,k):
        super().__init__(); n=32
        def b(i,o): return [nn.Conv2d(i,o,3,padding=1),nn.BatchNorm2d(o),nn.ReLU(),nn.MaxPool2d(2)]
        s_.f=nn.Sequential(*b(3,n),*b(n,2*n),*b(2*n,4*n),*b(4*n,4*n),nn.AdaptiveAvgPool2d(1),nn.Flatten(),nn.Dropout(.3),nn.Linear(4*n,k))
    def forward(s_,lab): return s_.f(lab/50-lab.new_tensor([1.,0,0]).view(1,3,1,1))
def judge(seed):
    torch.manual_seed(seed); net=Judge(len(s.classes))
    fit(net,lambda m,b:F.cross_entropy(m(b[0]),b[1].flatten(),label_smoothing=.1),LabelledBatches(join_lab(*tr2),ytr2.view(-1,1,1),32,seed),Options(steps=700,lr=2e-3,schedule="one-cycle",seed=seed),callbacks=())
    return net.eval()
@torch.no_grad()
def right(j,ab): return (j(join_lab(te[0],ab)).argmax(1)==yte).float()
alls=[]
for seed in range(3):
    t=time.time(); j=judge(seed); print("judge",seed,right(j,te[1]).mean().item(),f"{time.time()-t:.0f}s",flush=True)
    nets={}
    for name in ("L2","classes","rebalanced"):
        seed_everything(seed); start=models.ResNetColorizer(18,"worlds",width=W)
        net=start if name=="L2" else models.Classifier(start,bins,scale=2)
        obj={"L2":Regression(l2),"classes":Classification(bins),"rebalanced":Classification(bins,w)}[name]
        fit(net,obj,TensorBatches(tr2,16,seed=seed),Options(steps=STEPS,lr=4e-3,schedule="one-cycle",seed=seed),callbacks=())
        nets[name]=net; print(name,f"{time.time()-t:.0f}s",flush=True)
    models_={"truth":Truth(te),"gray":models.Gray(),"random":models.RandomPicture([tr],seed=seed)}|nets
    sc=score_models(models_,[te])
    tb=table(sc)[["auc","auc_rebalanced","within_10","colorfulness_ratio"]]
    named={n:right(j,m.colorize(te[0])) for n,m in models_.items()}
    tb["named"]=[named[n].mean().item() for n in tb.index]
    g,tt=tb.named["gray"],tb.named["truth"]; tb["way"]=(tb.named-g)/(tt-g)
    print(seed); print(tb.round(3).to_string(),flush=True); alls.append(tb)
    for a,b in (("classes","L2"),("rebalanced","L2"),("rebalanced","classes")):
        print(a,b,compare(sc,a,b).loc[["auc","auc_rebalanced","within_10"],["difference","low","high"]].astype(float).round(4).to_dict("index"), "named",tuple(round(float(x),3) for x in paired_difference(named[a],named[b])),flush=True)
print(sum(alls).div(3).round(3).to_string())
