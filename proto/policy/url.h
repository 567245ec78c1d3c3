/* URLs cut to some of their parts (RFC 3986). Never kept, whatever is asked
 * for: user and password, port, query, fragment, and the parameters of a path
 * after `;`, in which session ids travel. No allocation, no system call. */
#ifndef SOTTO_POLICY_URL_H
#define SOTTO_POLICY_URL_H

#include "base/buf.h"

enum url_part {
    URL_SCHEME = 1,
    URL_HOST = 2,
    URL_PATH = 4,
    URL_ALL = 7,
};
/* "scheme", "host", "path"; 0 for another name. */
unsigned url_part_of(struct span name);
/* Whether these parts make a text: a scheme and a path need the host between
 * them. */
bool url_parts_good(unsigned parts);

/* The parts of an absolute URL, or the path of one that begins with `/`:
 * "https://ann:pw@Shop.example:8080/cups;jsessionid=1?q=x#top" gives
 * "https://shop.example/cups". Returns its bytes in out; 0 if a part that is
 * asked for is not there, it takes more than max, or the text is no such URL
 * (another kind, as mailto; spaces, backslashes or control characters, which
 * readers of URLs understand differently). */
size_t url_cut(char *out, size_t max, struct span url, unsigned parts);
/* Whether text is what url_cut makes of some URL with these parts. */
bool url_fits(struct span text, unsigned parts);

#endif
