"""Who is asking: a token becomes claims, claims become a principal, and is that one current?"""
