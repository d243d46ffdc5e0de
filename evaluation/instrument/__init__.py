"""An instrument in one web page, which plays a trained run in a browser, offline.

A restored run enters; one HTML file leaves that holds the model's description and
weights, and the JavaScript of `js/`, which plays them. Begin at `page`.
"""
