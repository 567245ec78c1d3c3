/* IP addresses cut to their network: "203.0.113.7" at 16 bits becomes
 * "203.0.0.0/16". No allocation, no look-up, no system call. */
#ifndef SOTTO_POLICY_NETWORK_H
#define SOTTO_POLICY_NETWORK_H

#include "base/buf.h"

/* At least the last octet of an IPv4 address, and what identifies a line and
 * its devices in an IPv6 address (RFC 6177), are cut. */
#define NETWORK_V4_MAX 24
#define NETWORK_V6_MAX 56
#define NETWORK_TEXT_MAX 24 /* "ffff:ffff:ffff:ff00::/56" */

/* The network of an address in dotted or colon form (RFC 4291; a zone after `%`
 * is passed over). An IPv4 address mapped into IPv6 is cut as IPv4. v4 from 1
 * to NETWORK_V4_MAX, v6 to NETWORK_V6_MAX. Returns its bytes in out, 0 for a
 * text that is no address. The raw address stays nowhere. */
size_t network_cut(char out[NETWORK_TEXT_MAX], struct span address, unsigned v4,
                   unsigned v6);
/* Whether text is what network_cut makes of some address. */
bool network_fits(struct span text, unsigned v4, unsigned v6);

#endif
