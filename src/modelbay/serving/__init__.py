"""What every HTTP server of ours needs: who may call it, which paths are plain, how large a body may be."""
