noinst_LIBRARIES += librpc.a
librpc_a_SOURCES = \
	%D%/answer.c \
	%D%/auth.h \
	%D%/client.c %D%/client.h \
	%D%/conn.c %D%/conn.h \
	%D%/handshake.c %D%/handshake.h \
	%D%/method.c %D%/method.h \
	%D%/process.c \
	%D%/out.c %D%/out.h \
	%D%/send_queue.c %D%/send_queue.h \
	%D%/server.c %D%/server.h \
	%D%/serving.h \
	%D%/socket.c %D%/socket.h \
	%D%/transport.h \
	%D%/transport_real.c
librpc_a_CFLAGS = $(AM_CFLAGS) $(MSGPACK_CFLAGS)
