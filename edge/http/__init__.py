"""What every handler needs: answers, the application's state, sockets."""
