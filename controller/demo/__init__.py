"""The demo: a broker, emulated stimulators and the service as processes of their own, and a witness of what came out.

It knows the bench only by its command line and its control socket.
"""
