"""Messages that come in, answered on the channel on which they came."""
