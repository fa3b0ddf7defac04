"""The demo: a simulated year of a small company, played against the stack and shown as it goes.

``simulation`` is pure: a seed and a day in, the year's messages in the order of their arrival out. ``player`` publishes them,
``watcher`` looks at what the services make of them, ``screen`` draws that.
"""
