/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel says of VLAN devices, as it would say it: not every kernel that runs the tests has them. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <libmnl/libmnl.h>
#include <cmocka.h>
#include "netlink.h"

struct said {
	const char *kind;
	uint16_t id, protocol;	/* 0: not said */
	uint32_t lower;
};

static bool read_link(struct said said, struct netlink_vlan *ret_vlan)
{
	char buffer[512];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nlattr *info, *details;

	message->nlmsg_type = RTM_NEWLINK;
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, "eth0.7");
	if (said.lower)
		mnl_attr_put_u32(message, IFLA_LINK, said.lower);
	if (said.kind) {
		info = mnl_attr_nest_start(message, IFLA_LINKINFO);
		mnl_attr_put_strz(message, IFLA_INFO_KIND, said.kind);
		details = mnl_attr_nest_start(message, IFLA_INFO_DATA);
		if (said.protocol)
			mnl_attr_put_u16(message, IFLA_VLAN_PROTOCOL, htons(said.protocol));
		if (said.id)
			mnl_attr_put_u16(message, IFLA_VLAN_ID, said.id);
		mnl_attr_nest_end(message, details);
		mnl_attr_nest_end(message, info);
	}
	return netlink_vlan_read(message, ret_vlan);
}

static void test_vlan_devices(void **state)
{
	struct netlink_vlan vlan;

	(void)state;
	assert_true(read_link((struct said){ "vlan", 7, ETH_P_8021Q, 3 }, &vlan));
	assert_int_equal(vlan.lower, 3);
	assert_int_equal(vlan.id, 7);
	assert_false(vlan.is_8021ad);
	assert_true(read_link((struct said){ "vlan", 4094, ETH_P_8021AD, 12 }, &vlan));
	assert_int_equal(vlan.lower, 12);
	assert_int_equal(vlan.id, 4094);
	assert_true(vlan.is_8021ad);
}

static void test_others(void **state)
{
	struct netlink_vlan vlan;

	(void)state;
	assert_false(read_link((struct said){ NULL, 0, 0, 3 }, &vlan));
	assert_false(read_link((struct said){ "macvlan", 7, 0, 3 }, &vlan));
	assert_false(read_link((struct said){ "veth", 0, 0, 3 }, &vlan));
	assert_false(read_link((struct said){ "vlan", 0, ETH_P_8021Q, 3 }, &vlan));
	assert_false(read_link((struct said){ "vlan", 7, ETH_P_8021Q, 0 }, &vlan));
}

static void test_this_machine(void **state)
{
	struct netlink_vlan vlan;

	(void)state;
	assert_int_equal(netlink_vlan(if_nametoindex("lo"), &vlan), 0);
	assert_int_equal(netlink_vlan(0x7fffffff, &vlan), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vlan_devices),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL) ? 1 : 0;
}
