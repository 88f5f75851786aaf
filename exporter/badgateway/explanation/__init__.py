"""Reading logs as people have them: whose line is it, what does it tell, what is one story.

``reading`` brings lines, ``recognition`` finds the dialect each belongs to, ``story`` joins what
several logs tell of one request, and ``report`` shows it.
"""
