"""run a lesson source cell by cell: cells.py NAME PROFILE OUTDIR [stop_at_text]"""
import sys,time,os,traceback
import matplotlib; matplotlib.use("Agg")
import jupytext, pathlib, resource
name,profile,out=sys.argv[1:4]; stop=sys.argv[4] if len(sys.argv)>4 else None
over=dict(a.split("=",1) for a in sys.argv[5:])
os.environ["COLORKIT_PROFILE"]=profile
out=pathlib.Path(out); out.mkdir(exist_ok=True,parents=True)
nb=jupytext.read(f"solutions/{name}.py")
import colorkit.plots as P
import IPython.display as D
count=[0]
def show(fig,alt=""):
    count[0]+=1; fig.savefig(out/f"{count[0]:02d}.png",dpi=80,bbox_inches="tight"); print(f"   [figure {count[0]:02d}] {alt[:70]}")
P.show=show
def disp(*a,**k):
    for x in a: print(x)
D.display=disp
from IPython.core.interactiveshell import InteractiveShell
sh=InteractiveShell.instance(); ns=sh.user_ns; t0=time.time()
for k,c in enumerate(nb.cells):
    if c.cell_type!="code" or "bootstrap" in c.metadata.get("tags",[]): continue
    if stop and stop in c.source: break
    t=time.time()
    r=sh.run_cell(c.source)
    if "parameters" in c.metadata.get("tags",[]):
        for kk,v in over.items(): ns[kk]=eval(v)
    if 'settings("' in c.source and 'cfg' in ns:
        for kk,v in over.items(): setattr(ns['cfg'],kk,eval(v))
    dt=time.time()-t
    if dt>1: print(f"   -- cell {k}: {dt:.1f} s: {c.source.splitlines()[0][:60]}",flush=True)
    if not r.success: print("FAILED cell",k); sys.exit(1)
print(f"total {time.time()-t0:.0f} s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024:.0f} MB")
