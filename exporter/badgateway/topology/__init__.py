"""What is on this host: backends and the hops of their paths, and where routes lead.

One room for each kind of thing found: ``nginx``, ``caddy`` and what holds for any of the
``proxies``, what a command line ``launch``es, ``containers``. Beside them what brings it together:
``discovery`` finds, ``joining`` brings routes and applications together, ``destinations`` and
``ways`` say where they lead, ``homes`` whose a site was before.
"""
