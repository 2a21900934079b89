from hypothesis import settings

# The machines that run this are shared: a slow example is no failure. The megabyte tests bound the time instead.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
