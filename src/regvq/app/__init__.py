"""The web app of ``regvq serve``.

What it computes are functions and records of tensors without any gradio; the tabs, the page and the server
stand on them. Gradio is imported by ``page``, ``painter``, ``handling``, ``tabs`` and ``server`` alone.
"""
