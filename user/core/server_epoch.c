/* SPDX-License-Identifier: GPL-2.0-only */
#include "server_epoch.h"

/* Signed: replies that overtook each other take the server's time back by a second, which is no restart. */
static bool fits(const struct server_epoch *before, uint32_t server_s, uint64_t client_s)
{
	int64_t client_delta = (int64_t)(client_s - before->client_s), server_delta = (int64_t)server_s - before->server_s;

	if (server_delta < -1)
		return false;
	return client_delta + 2 >= server_delta - server_delta / 16 && server_delta + 2 >= client_delta - client_delta / 16;
}

static bool fits_natpmp(const struct server_epoch *before, uint32_t server_s, uint64_t client_s)
{
	uint64_t expected_s = before->server_s + (client_s - before->client_s) * 7 / 8;

	return (uint64_t)server_s + 2 >= expected_s;
}

static void record(struct server_epoch *epoch, uint32_t server_s, uint64_t client_s)
{
	*epoch = (struct server_epoch){ .is_known = true, .server_s = server_s, .client_s = client_s };
}

bool server_epoch_accept(struct server_epoch *epoch, uint32_t server_s, uint64_t client_s)
{
	bool is_valid = !epoch->is_known || fits(epoch, server_s, client_s);

	record(epoch, server_s, client_s);
	return is_valid;
}

bool server_epoch_accept_natpmp(struct server_epoch *epoch, uint32_t server_s, uint64_t client_s)
{
	bool is_valid = !epoch->is_known || fits_natpmp(epoch, server_s, client_s);

	record(epoch, server_s, client_s);
	return is_valid;
}
